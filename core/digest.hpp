// SHA-256 digests, computed by OpenSSL, written self-describing as "sha256:<64 hex digits>".
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace reprise {

struct Digest {
  std::array<std::uint8_t, 32> bytes{};  // all zero = none

  [[nodiscard]] bool is_none() const { return *this == Digest{}; }
  /// The 32 raw bytes.
  [[nodiscard]] std::string_view raw() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  /// 64 lower-case hex digits.
  [[nodiscard]] std::string hex() const;
  /// "sha256:" + hex().
  [[nodiscard]] std::string text() const;
  /// Accepts hex() and text(). @error invalid_argument
  [[nodiscard]] static Result<Digest> parse(std::string_view text);
  /// @param raw exactly 32 bytes. @error invalid_argument
  [[nodiscard]] static Result<Digest> from_raw(std::string_view raw);

  auto operator<=>(const Digest&) const = default;
};

/// Streaming SHA-256. Not safe for concurrent use of one object; objects are cheap to reuse through
/// reset().
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  Sha256& update(std::string_view data);
  /// The digest of everything since construction or the last finish(); the object starts anew.
  [[nodiscard]] Digest finish();

 private:
  void* context_;  // SHA256_CTX
};

/// SHA-256 of `data`.
[[nodiscard]] Digest sha256(std::string_view data);

/// H(domain, data) = SHA-256("rp1." domain NUL data), the domain-separated digest behind every key.
[[nodiscard]] Digest digest_in(std::string_view domain, std::string_view data);

}  // namespace reprise

template <>
struct std::hash<reprise::Digest> {
  std::size_t operator()(const reprise::Digest& digest) const noexcept {
    std::size_t value;  // a digest is uniformly distributed: any eight bytes of it are a hash
    std::memcpy(&value, digest.bytes.data(), sizeof value);
    return value;
  }
};
