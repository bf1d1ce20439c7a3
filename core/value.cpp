#include "core/value.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/canon.hpp"
#include "core/pack.hpp"

namespace reprise {
namespace {

Result<Value> ext_over(std::int8_t code, const Value& value) {
  auto payload = encode(value);
  if (!payload) return tl::unexpected(std::move(payload.error()));
  Value result = Ext{code, std::move(*payload)};
  if (auto fits = encode(result); !fits) return tl::unexpected(std::move(fits.error()));
  return result;
}

}  // namespace

const Value* Value::find(std::string_view key) const {
  const auto* map = get_if<Map>();
  if (!map) return nullptr;
  for (const auto& [name, value] : *map)
    if (const auto* text = name.get_if<std::string>(); text && *text == key) return &value;
  return nullptr;
}

Value FileValue::to_value() const {
  std::string payload;
  Packer pack(payload);
  pack.array(3);
  pack.bytes(content.raw());
  pack.unsigned_integer(size);
  pack.boolean(executable);
  return Ext{ext::file, std::move(payload)};
}

bool is_file(const Value& value) {
  const auto* extension = value.get_if<Ext>();
  return extension && extension->code == ext::file && as_file(value);
}

Result<FileValue> as_file(const Value& value) {
  const auto* extension = value.get_if<Ext>();
  if (!extension || extension->code != ext::file)
    return fail(ErrorCode::invalid_argument, "value is not a file");
  Unpacker unpack(extension->payload);
  unpack.array(3);
  auto digest = Digest::from_raw(unpack.bytes());
  FileValue file;
  file.size = unpack.unsigned_integer();
  file.executable = unpack.boolean();
  if (!unpack.at_end() || !digest)
    return fail(ErrorCode::invalid_argument, "value is a file of unknown shape");
  file.content = *digest;
  return file;
}

Result<Value> tuple_value(const List& elements) {
  return ext_over(ext::tuple, Value(elements));
}

Result<Value> set_value(const List& elements) {
  std::vector<std::string> encoded;
  encoded.reserve(elements.size());
  for (const Value& element : elements) {
    auto bytes = encode(element);
    if (!bytes) return tl::unexpected(std::move(bytes.error()));
    encoded.push_back(std::move(*bytes));
  }
  std::sort(encoded.begin(), encoded.end());
  encoded.erase(std::unique(encoded.begin(), encoded.end()), encoded.end());
  Value set = Ext{ext::set, encode_list({encoded.begin(), encoded.end()})};
  if (auto fits = encode(set); !fits) return tl::unexpected(std::move(fits.error()));
  return set;
}

Result<Value> record_value(std::string_view type, std::string_view version, const Map& fields) {
  return ext_over(ext::record, List{type, version, fields});
}

Result<Value> user_hash_value(std::string_view method, std::string_view hash) {
  return ext_over(ext::user_hash, List{method, hash});
}

Value blob_value(const Digest& content, std::uint64_t size) {
  std::string payload;
  Packer pack(payload);
  pack.array(2);
  pack.bytes(content.raw());
  pack.unsigned_integer(size);
  return Ext{ext::blob, std::move(payload)};
}

Value directory_value(const Digest& root) {
  return Ext{ext::directory, std::string(root.raw())};
}

std::string timestamp_payload(std::int64_t seconds, std::uint32_t nanoseconds) {
  std::string payload;
  for (int shift = 24; shift >= 0; shift -= 8)
    payload.push_back(static_cast<char>(nanoseconds >> shift));
  for (int shift = 56; shift >= 0; shift -= 8)
    payload.push_back(static_cast<char>(static_cast<std::uint64_t>(seconds) >> shift));
  return payload;
}

Value timestamp_value(Time time) {
  auto seconds = std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
  constexpr std::int64_t second = 1'000'000'000;
  auto nanoseconds = (time.time_since_epoch().count() % second + second) % second;
  return Ext{ext::timestamp, timestamp_payload(seconds, static_cast<std::uint32_t>(nanoseconds))};
}

Result<Time> as_timestamp(const Value& value) {
  const auto* extension = value.get_if<Ext>();
  if (!extension || extension->code != ext::timestamp || extension->payload.size() != 12)
    return fail(ErrorCode::invalid_argument, "value is not a timestamp");
  std::uint64_t nanoseconds = 0, seconds = 0;
  for (std::size_t i = 0; i < 12; ++i) {
    std::uint64_t& number = i < 4 ? nanoseconds : seconds;
    number = number << 8 | static_cast<std::uint8_t>(extension->payload[i]);
  }
  constexpr std::int64_t limit = INT64_MAX / 1'000'000'000 - 1;
  auto whole = static_cast<std::int64_t>(seconds);
  if (nanoseconds >= 1'000'000'000 || whole > limit || whole < -limit)
    return fail(ErrorCode::invalid_argument, "timestamp is out of range");
  return Time(std::chrono::seconds(whole) +
              std::chrono::nanoseconds(static_cast<std::int64_t>(nanoseconds)));
}

Result<List> elements_of(const Value& value) {
  if (const auto* list = value.get_if<List>()) return *list;
  const auto* extension = value.get_if<Ext>();
  if (!extension || (extension->code != ext::tuple && extension->code != ext::set))
    return fail(ErrorCode::invalid_argument, "value is not a list, tuple or set");
  auto content = decode(extension->payload);
  if (!content) return tl::unexpected(std::move(content.error()));
  auto* list = std::get_if<List>(&content->data);
  if (!list) return fail(ErrorCode::corrupt, "tuple or set holds no list");
  return std::move(*list);
}

Result<Digest> directory_root(std::vector<DirectoryEntry> entries) {
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  List rows;
  rows.reserve(entries.size());
  const std::string* previous = nullptr;
  for (const DirectoryEntry& entry : entries) {
    if (previous && *previous == entry.name)
      return fail(ErrorCode::invalid_argument, "directory has two entries of one name");
    previous = &entry.name;
    bool is_link = entry.kind == DirectoryEntry::Kind::link;
    Value content =
        is_link ? Value(entry.link_target) : Value(Bytes{std::string(entry.content.raw())});
    rows.push_back(List{entry.name, static_cast<int>(entry.kind), std::move(content),
                        entry.kind == DirectoryEntry::Kind::file && entry.executable});
  }
  auto bytes = encode(Value(std::move(rows)));
  if (!bytes) return tl::unexpected(std::move(bytes.error()));
  return digest_in("dir", *bytes);
}

}  // namespace reprise
