#include "cache/archive.hpp"

#include <cstring>

#include <sys/mman.h>

#include "cache/archive_tag.hpp"
#include "cache/sqlite_store.hpp"
#include "core/pack.hpp"
#include "core/value.hpp"

namespace reprise::cache {
namespace {

using Tag = ArchiveTag;

std::int64_t nanoseconds(Time time) {
  return time.time_since_epoch().count();
}
Time time_of(std::int64_t count) {
  return Time(Duration(count));
}
std::string_view raw(const RunId& id) {
  return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()};
}

void pack_time(Packer& pack, const std::optional<Time>& time) {
  if (time)
    pack.integer(nanoseconds(*time));
  else
    pack.nil();
}
std::optional<Time> unpack_time(Unpacker& in) {
  if (in.next_is_nil()) {
    in.nil();
    return std::nullopt;
  }
  return time_of(in.integer());
}
Digest unpack_digest(Unpacker& in) {
  const auto digest = Digest::from_raw(in.bytes());
  if (digest) return *digest;
  in.fail();
  return {};
}

void pack_item(Packer& pack, const ArchiveBlob& blob) {
  pack.array(4);
  pack.integer(static_cast<int>(Tag::blob));
  pack.integer(static_cast<int>(blob.kind));
  pack.bytes(blob.digest.raw());
  pack.unsigned_integer(blob.size);
}
void pack_item(Packer& pack, const ArchiveChunk& chunk) {
  pack.array(2);
  pack.integer(static_cast<int>(Tag::chunk));
  pack.bytes(chunk.bytes);
}
void pack_item(Packer& pack, const ArchiveEntry& entry) {
  pack.array(5);
  pack.integer(static_cast<int>(Tag::entry));
  pack.bytes(entry.key.digest.raw());
  pack.bytes(entry.name);
  pack.bytes(entry.material);
  pack_time(pack, entry.horizon);
}
void pack_item(Packer& pack, const ArchiveVersion& version) {
  pack.array(12);
  pack.integer(static_cast<int>(Tag::version));
  pack.unsigned_integer(version.number);
  pack.integer(static_cast<int>(version.status));
  pack.integer(nanoseconds(version.committed));
  pack_time(pack, version.expires);
  pack.bytes(version.value.digest.raw());
  pack.unsigned_integer(version.value.size);
  if (version.value.bytes)
    pack.bytes(version.value.view());
  else
    pack.nil();
  pack.bytes(raw(version.run));
  pack.bytes(version.task);
  pack.integer(version.cost.count());
  pack.array(version.renewals.size() * 2);
  for (const ArchiveVersion::Renewal& renewal : version.renewals) {
    pack.integer(nanoseconds(renewal.at));
    pack_time(pack, renewal.expires);
  }
}
void pack_item(Packer& pack, const Pin& pin) {
  pack.array(5);
  pack.integer(static_cast<int>(Tag::pin));
  pack.integer(static_cast<int>(pin.kind));
  pack.bytes(pin.id);
  pack.integer(nanoseconds(pin.at));
  pack.bytes(pin.why);
}
void pack_item(Packer& pack, const ArchiveRun& run) {
  pack.array(2);
  pack.integer(static_cast<int>(Tag::run));
  pack.bytes(run.bytes);
}
void pack_item(Packer& pack, const ArchiveBatch& batch) {
  pack.array(2);
  pack.integer(static_cast<int>(Tag::batch));
  pack.bytes(batch.bytes);
}

ArchiveBlob unpack_blob(Unpacker& in) {
  ArchiveBlob blob;
  blob.kind = static_cast<ArchiveBlob::Kind>(in.unsigned_integer(2));
  blob.digest = unpack_digest(in);
  blob.size = in.unsigned_integer(INT64_MAX);
  return blob;
}

ArchiveEntry unpack_entry(Unpacker& in) {
  ArchiveEntry entry;
  entry.key.digest = unpack_digest(in);
  entry.name = in.bytes();
  entry.material = in.bytes();
  entry.horizon = unpack_time(in);
  return entry;
}

ArchiveVersion unpack_version(Unpacker& in) {
  ArchiveVersion version;
  version.number = in.index();
  version.status = static_cast<VersionStatus>(in.unsigned_integer(3));
  version.committed = time_of(in.integer());
  version.expires = unpack_time(in);
  const Digest digest = unpack_digest(in);
  const std::uint64_t size = in.unsigned_integer(INT64_MAX);
  if (in.next_is_nil()) {
    in.nil();
    version.value.digest = digest;
    version.value.size = size;
  } else {
    version.value = Payload::of(std::string(in.bytes()));
    if (version.value.digest != digest || version.value.size != size) in.fail();
  }
  const std::string_view run = in.bytes();
  if (run.size() == version.run.bytes.size())
    std::memcpy(version.run.bytes.data(), run.data(), run.size());
  else
    in.fail();
  version.task = in.bytes();
  version.cost = Duration(in.integer());
  const std::uint32_t count = in.array();
  if (count % 2 != 0) in.fail();
  for (std::uint32_t i = 0; i < count && !in.failed(); i += 2) {
    ArchiveVersion::Renewal renewal;
    renewal.at = time_of(in.integer());
    renewal.expires = unpack_time(in);
    version.renewals.push_back(renewal);
  }
  const bool has_value =
      version.status == VersionStatus::ok || version.status == VersionStatus::negative;
  if (version.number == 0 || (has_value && size == 0)) in.fail();
  if (has_value && size <= inline_value_bytes && !version.value.is_at_hand()) in.fail();
  return version;
}

Pin unpack_pin(Unpacker& in) {
  Pin pin;
  pin.kind = static_cast<PinKind>(in.unsigned_integer(2));
  pin.id = in.bytes();
  pin.at = time_of(in.integer());
  pin.why = in.bytes();
  if (pin.id.size() != (pin.kind == PinKind::run ? 16u : 32u)) in.fail();
  return pin;
}

}  // namespace

std::string encode_item(const ArchiveItem& item) {
  std::string bytes;
  Packer pack(bytes);
  std::visit([&](const auto& each) { pack_item(pack, each); }, item);
  return bytes;
}

Result<ArchiveItem> decode_item(std::string_view bytes) {
  Unpacker in(bytes);
  const std::uint32_t count = in.array();
  const auto tag = static_cast<Tag>(in.unsigned_integer(static_cast<int>(Tag::batch)));
  ArchiveItem item;
  std::uint32_t fields = 0;
  if (!in.failed()) switch (tag) {
      case Tag::blob:
        fields = 4;
        item = unpack_blob(in);
        break;
      case Tag::chunk:
        fields = 2;
        item = ArchiveChunk{std::string(in.bytes())};
        break;
      case Tag::entry:
        fields = 5;
        item = unpack_entry(in);
        break;
      case Tag::version:
        fields = 12;
        item = unpack_version(in);
        break;
      case Tag::pin:
        fields = 5;
        item = unpack_pin(in);
        break;
      case Tag::run:
        fields = 2;
        item = ArchiveRun{std::string(in.bytes())};
        break;
      case Tag::batch:
        fields = 2;
        item = ArchiveBatch{std::string(in.bytes())};
        break;
      case Tag::end:
        break;
    }
  if (!in.at_end() || fields != count) return damaged_archive("a part of it does not decode");
  return item;
}

std::vector<Digest> files_named_in(std::string_view encoded) {
  std::vector<Digest> files;
  // Tuples, sets and records are extensions with an encoded value inside.
  std::vector<std::string_view> parts{encoded};
  while (!parts.empty()) {
    const std::string_view part = parts.back();
    parts.pop_back();
    Unpacker in(part);
    Unpacker::Token token;
    while (in.position() < part.size() && in.next(token)) {
      if (token.kind != Unpacker::Kind::ext) continue;
      if (token.code == ext::file) {
        if (const auto file = as_file(Value(Ext{token.code, std::string(token.data)})))
          files.push_back(file->content);
      } else if (token.code == ext::tuple || token.code == ext::set || token.code == ext::record) {
        parts.push_back(token.data);
      }
    }
  }
  return files;
}

std::vector<Digest> files_named_in_file(const OpenFile& file) {
  const auto size = static_cast<std::size_t>(file.status.st_size);
  void* bytes = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.descriptor.value, 0);
  if (bytes == MAP_FAILED) return {};
  auto files = files_named_in({static_cast<const char*>(bytes), size});
  ::munmap(bytes, size);
  return files;
}

}  // namespace reprise::cache
