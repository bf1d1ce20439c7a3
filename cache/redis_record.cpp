#include "cache/redis_record.hpp"

#include <cstring>
#include <limits>

#include "cache/compression.hpp"
#include "core/pack.hpp"

namespace reprise::cache {
namespace {

constexpr std::string_view magic = "rp";
constexpr std::uint8_t plain_format = 1;
// The same, with the time of commit as the writer meant it and a MacKeys code behind.
constexpr std::uint8_t signed_format = 2;
constexpr std::size_t time_bytes = 12;
constexpr std::size_t committed_at = 20;
constexpr std::size_t trailer_bytes = time_bytes + MacKeys::mac_bytes;
constexpr std::size_t header_bytes = 84;
constexpr std::int64_t billion = 1'000'000'000;

enum Status : std::uint8_t {
  ok = 0,
  negative = 1,
  tombstone = 2,
  damaged = 3
};  // as VersionStatus

class HeaderWriter {
 public:
  explicit HeaderWriter(std::string& out) : out_(out) {}
  template <int width>
  void number(std::uint64_t value) {
    for (int shift = 8 * (width - 1); shift >= 0; shift -= 8)
      out_.push_back(static_cast<char>(value >> shift));
  }
  void time(Time value) {
    const std::int64_t count = value.time_since_epoch().count();
    std::int64_t seconds = count / billion, rest = count % billion;
    if (rest < 0) {
      rest += billion;
      --seconds;
    }
    number<8>(static_cast<std::uint64_t>(seconds));
    number<4>(static_cast<std::uint64_t>(rest));
  }

 private:
  std::string& out_;
};

class HeaderReader {
 public:
  explicit HeaderReader(std::string_view bytes) : bytes_(bytes) {}
  template <int width>
  std::uint64_t number() {
    std::uint64_t value = 0;
    for (int i = 0; i < width; ++i)
      value = value << 8 | static_cast<std::uint8_t>(bytes_[static_cast<std::size_t>(i)]);
    bytes_.remove_prefix(width);
    return value;
  }
  Time time() {
    const auto seconds = static_cast<std::int64_t>(number<8>());
    const auto rest = static_cast<std::int64_t>(number<4>());
    constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() / billion - 1;
    if (seconds > most || seconds < -most || rest >= billion) {
      failed_ = true;
      return {};
    }
    return Time(Duration(seconds * billion + rest));
  }
  std::string_view take(std::size_t size) {
    const auto taken = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return taken;
  }
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  std::string_view bytes_;
  bool failed_ = false;
};

tl::unexpected<Error> damaged_record() {
  return fail(ErrorCode::corrupt, "a record in redis does not decode");
}

// Without what the server writes: version, sequence, time of commit.
std::string what_is_signed(std::string_view stored) {
  std::string message = "rp1.record";
  message.append(stored.substr(0, 8)).append(stored.substr(committed_at + time_bytes));
  return message;
}

}  // namespace

bool is_genuine(std::string_view stored, const MacKeys& keys) {
  if (stored.size() < header_bytes + trailer_bytes || stored[2] != signed_format) return false;
  const std::string_view mac = stored.substr(stored.size() - MacKeys::mac_bytes);
  const std::string_view meant = stored.substr(stored.size() - trailer_bytes, time_bytes);
  if (!keys.is_good(mac, what_is_signed(stored.substr(0, stored.size() - MacKeys::mac_bytes))))
    return false;
  return HeaderReader(stored.substr(committed_at)).time() >= HeaderReader(meant).time();
}

std::string RedisRecord::encode(const MacKeys* keys) const {
  std::string out;
  out.reserve(header_bytes + 160 + record.name.size() + record.task.size() + value.size());
  HeaderWriter header(out);
  out.append(magic);
  header.number<1>(keys != nullptr ? signed_format : plain_format);
  header.number<1>(is_damaged                                 ? Status::damaged
                   : is_tombstone                             ? Status::tombstone
                   : record.status == VersionStatus::negative ? Status::negative
                                                              : Status::ok);
  header.number<1>(record.expires ? 1 : 0);
  header.number<1>(static_cast<std::uint8_t>(place));
  header.number<2>(0);
  header.number<4>(record.version);
  header.number<8>(sequence);
  header.time(record.committed);
  header.time(record.expires.value_or(Time{}));
  out.append(record.value.digest.raw());
  header.number<8>(record.value.size);
  Packer pack(out);
  pack.array(6);
  pack.bytes(record.key.digest.raw());
  pack.bytes(record.name);
  pack.bytes({reinterpret_cast<const char*>(record.run.bytes.data()), record.run.bytes.size()});
  pack.bytes(record.task);
  pack.integer(record.cost.count());
  pack.bytes(value);
  if (keys != nullptr) {
    header.time(record.committed);
    out.append(keys->sign(what_is_signed(out)));
  }
  return out;
}

Result<RedisRecord> RedisRecord::decode(std::string_view bytes) {
  if (!bytes.starts_with(magic) || bytes.size() < magic.size() + 1) return damaged_record();
  HeaderReader header(bytes.substr(magic.size()));
  const auto version = header.number<1>();
  if (version > signed_format)
    return fail(ErrorCode::conflict, "a record in redis was written by a newer program");
  if (version == 0 || bytes.size() < header_bytes) return damaged_record();
  RedisRecord found;
  const auto status = header.number<1>();
  const auto has_expiry = header.number<1>();
  const auto place = header.number<1>();
  (void)header.number<2>();
  found.record.version = static_cast<std::uint32_t>(header.number<4>());
  found.sequence = header.number<8>();
  found.record.committed = header.time();
  const Time expires = header.time();
  std::memcpy(found.record.value.digest.bytes.data(), header.take(32).data(), 32);
  found.record.value.size = header.number<8>();
  if (header.failed() || status > Status::damaged || has_expiry > 1 || place > 3)
    return damaged_record();
  found.is_damaged = status == Status::damaged;
  found.is_tombstone = status == Status::tombstone;
  if (status == Status::negative) found.record.status = VersionStatus::negative;
  if (has_expiry != 0) found.record.expires = expires;
  found.place = static_cast<ValuePlace>(place);
  if (found.is_damaged && bytes.size() == header_bytes) return found;

  if (version == signed_format) {
    if (bytes.size() < header_bytes + trailer_bytes) return damaged_record();
    bytes.remove_suffix(trailer_bytes);
  }
  Unpacker unpack(bytes.substr(header_bytes));
  unpack.array(6);
  const auto key = unpack.bytes();
  found.record.name = unpack.bytes();
  const auto run = unpack.bytes();
  found.record.task = unpack.bytes();
  found.record.cost = Duration(unpack.integer());
  found.value = unpack.bytes();
  if (!unpack.at_end() || key.size() != found.record.key.digest.bytes.size() ||
      run.size() != found.record.run.bytes.size())
    return damaged_record();
  std::memcpy(found.record.key.digest.bytes.data(), key.data(), key.size());
  std::memcpy(found.record.run.bytes.data(), run.data(), run.size());
  return found;
}

std::string encode_value(std::string_view bytes) {
  auto frame = compress(bytes);
  std::string stored(1, frame ? '\1' : '\0');
  stored.append(frame ? std::string_view(*frame) : bytes);
  return stored;
}

Result<std::string> decode_value(std::string_view stored, std::uint64_t size) {
  if (stored.empty()) return damaged_record();
  const char how = stored[0];
  stored.remove_prefix(1);
  if (how == '\1') return decompress(stored, size);
  if (how != '\0' || stored.size() != size)
    return fail(ErrorCode::corrupt, "a value in redis has another size");
  return std::string(stored);
}

Result<std::string> decode_value(std::string_view stored) {
  if (stored.empty()) return damaged_record();
  const bool is_frame = stored[0] == '\1';
  return decode_value(stored, is_frame ? size_in(stored.substr(1)) : stored.size() - 1);
}

}  // namespace reprise::cache
