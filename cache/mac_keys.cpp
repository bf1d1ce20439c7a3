#include "cache/mac_keys.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/digest.hpp"
#include "core/text.hpp"

namespace reprise::cache {
namespace {

constexpr std::size_t block_bytes = 64;
constexpr std::size_t name_bytes = 8;
constexpr std::size_t least_digits = 64;
constexpr std::size_t file_bytes_most = 64 * 1024;

// RFC 2104.
Digest hmac(std::string_view key, std::string_view message) {
  std::string block(key);
  if (block.size() > block_bytes) block = std::string(sha256(block).raw());
  block.resize(block_bytes, '\0');
  const auto padded = [&](char with) {
    std::string bytes = block;
    for (char& byte : bytes) byte = static_cast<char>(byte ^ with);
    return bytes;
  };
  Sha256 hash;
  hash.update(padded('\x36')).update(message);
  const Digest inner = hash.finish();
  hash.update(padded('\x5c')).update(inner.raw());
  return hash.finish();
}

bool is_equal(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned different = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    different |=
        static_cast<unsigned>(static_cast<std::uint8_t>(a[i]) ^ static_cast<std::uint8_t>(b[i]));
  return different == 0;
}

std::string_view trimmed(std::string_view line) {
  line = line.substr(0, line.find('#'));
  const auto begin = line.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return line.substr(begin, line.find_last_not_of(" \t\r") - begin + 1);
}

}  // namespace

Result<MacKeys> MacKeys::parse(std::string_view text) {
  MacKeys keys;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    const std::string_view line = trimmed(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (line.empty()) continue;
    std::string bytes(line.size() / 2, '\0');
    // What is wrong is not shown: it may be nearly a key.
    if (line.size() < least_digits ||
        !from_hex(line, reinterpret_cast<std::uint8_t*>(bytes.data())))
      return fail(ErrorCode::invalid_argument,
                  fmt::format("line {} is no key: {} hex digits or more", number, least_digits));
    std::string name(digest_in("mac-key", bytes).raw().substr(0, name_bytes));
    keys.keys_.push_back({std::move(name), std::move(bytes)});
  }
  if (keys.keys_.empty())
    return fail(ErrorCode::invalid_argument,
                "there is no key in it; `openssl rand -hex 32` makes one");
  return keys;
}

Result<MacKeys> MacKeys::read(const std::filesystem::path& file) {
  const std::string shown = escape_for_terminal(file.string());
  const auto refused = [&](ErrorCode code, std::string_view why) {
    return fail(code, fmt::format("the file of keys \"{}\": {}", shown, why));
  };
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0)
    return refused(errno == ENOENT                     ? ErrorCode::not_found
                   : errno == EACCES || errno == EPERM ? ErrorCode::denied
                                                       : ErrorCode::io,
                   std::strerror(errno));
  std::string text(file_bytes_most + 1, '\0');
  struct stat about {};
  const bool is_known = ::fstat(descriptor, &about) == 0;
  const ssize_t got = is_known ? ::read(descriptor, text.data(), text.size()) : -1;
  const int error = errno;
  ::close(descriptor);
  if (got < 0) return tl::unexpected(system_error(fmt::format("read \"{}\"", shown), error));
  if (!S_ISREG(about.st_mode)) return refused(ErrorCode::invalid_argument, "it is no file");
  if ((about.st_mode & 077) != 0)
    return refused(ErrorCode::invalid_argument, "others may read it; chmod 600 it");
  if (static_cast<std::size_t>(got) > file_bytes_most)
    return refused(ErrorCode::invalid_argument, "it is larger than 64 KiB");
  text.resize(static_cast<std::size_t>(got));
  auto keys = parse(text);
  if (!keys) return refused(keys.error().code, keys.error().message);
  return keys;
}

std::string MacKeys::sign(std::string_view message) const {
  std::string mac = keys_.front().name;
  mac.append(hmac(keys_.front().bytes, message).raw());
  return mac;
}

bool MacKeys::is_good(std::string_view mac, std::string_view message) const {
  if (mac.size() != mac_bytes) return false;
  for (const Key& key : keys_)
    if (mac.substr(0, name_bytes) == key.name)
      return is_equal(mac.substr(name_bytes), hmac(key.bytes, message).raw());
  return false;
}

}  // namespace reprise::cache
