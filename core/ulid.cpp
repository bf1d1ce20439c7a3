#include "core/ulid.hpp"

#include <algorithm>
#include <mutex>

#include <fmt/format.h>
#include <sys/random.h>

#include "core/assert.hpp"
#include "core/digest.hpp"
#include "core/text.hpp"

namespace reprise {
namespace {

constexpr std::string_view alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::size_t text_length = 26;  // 130 bits: the first character has only three of them

void fill_random(std::uint8_t* out, std::size_t size) {
  ssize_t got = getrandom(out, size, 0);  // never short below 256 bytes
  REPRISE_ASSERT(got == static_cast<ssize_t>(size), got);
}

std::uint64_t milliseconds(const RunId& id) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 6; ++i) value = value << 8 | id.bytes[i];
  return value;
}

std::uint64_t milliseconds(Time time) {
  const auto since =
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  return static_cast<std::uint64_t>(std::max<decltype(since)>(since, 0)) & 0xffff'ffff'ffff;
}

RunId at(std::uint64_t milliseconds) {
  RunId id;
  for (std::size_t i = 0; i < 6; ++i)
    id.bytes[i] = static_cast<std::uint8_t>(milliseconds >> (40 - 8 * i));
  return id;
}

RunId fresh(std::uint64_t milliseconds) {
  RunId id = at(milliseconds);
  fill_random(id.bytes.data() + 6, 10);
  return id;
}

/// A greater id. The step is random, so that processes that were forked within a millisecond go
/// different ways.
RunId after(RunId id) {
  std::array<std::uint8_t, 5> step;
  fill_random(step.data(), step.size());
  step[0] |= 1;  // at least one
  unsigned carry = 0;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) {
    std::uint8_t& byte = id.bytes[id.bytes.size() - 1 - i];
    unsigned sum = byte + (i < step.size() ? step[i] : 0u) + carry;
    byte = static_cast<std::uint8_t>(sum);
    carry = sum >> 8;
  }
  return id;
}

/// Value of a character, -1 = none. People read I and L as 1, and O as 0.
int value_of(char c) {
  if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  if (c == 'I' || c == 'L') c = '1';
  if (c == 'O') c = '0';
  auto position = alphabet.find(c);
  return position == std::string_view::npos ? -1 : static_cast<int>(position);
}

}  // namespace

RunId RunId::generate(Time now) {
  static std::mutex mutex;
  static RunId last;
  const std::uint64_t time = milliseconds(now);
  std::lock_guard lock(mutex);
  last = time > milliseconds(last) ? fresh(time) : after(last);
  return last;
}

RunId RunId::derived(Time at_time, std::string_view seed) {
  RunId id = at(milliseconds(at_time));
  const Digest digest = sha256(seed);
  std::copy_n(digest.raw().begin(), 10, id.bytes.begin() + 6);
  return id;
}

Time RunId::time() const {
  return Time(std::chrono::milliseconds(milliseconds(*this)));
}

std::string RunId::text() const {
  std::string text(text_length, '0');
  unsigned pending = 0;  // bits not written yet, from the right
  int bits = 0;
  std::size_t at = text_length;
  for (std::size_t i = bytes.size(); i-- > 0;) {
    pending |= static_cast<unsigned>(bytes[i]) << bits;
    bits += 8;
    while (bits >= 5) {
      text[--at] = alphabet[pending & 31];
      pending >>= 5;
      bits -= 5;
    }
  }
  text[--at] = alphabet[pending & 31];
  return text;
}

Result<RunId> RunId::parse(std::string_view text) {
  auto bad = [&] {
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\" is not a run id; expected 26 digits and letters",
                            shorten(escape_for_terminal(text), 60)));
  };
  if (text.size() != text_length) return bad();
  RunId id;
  unsigned pending = 0;
  int bits = 0;
  std::size_t at = id.bytes.size();
  for (std::size_t i = text.size(); i-- > 0;) {
    int value = value_of(text[i]);
    if (value < 0) return bad();
    if (i == 0 && value > 7) return bad();  // more than 128 bits
    pending |= static_cast<unsigned>(value) << bits;
    bits += 5;
    if (bits >= 8 && at > 0) {
      id.bytes[--at] = static_cast<std::uint8_t>(pending);
      pending >>= 8;
      bits -= 8;
    }
  }
  return id;
}

}  // namespace reprise
