#include "core/payload.hpp"

#include "core/assert.hpp"

namespace reprise {
namespace {

constexpr std::string_view nil_bytes = "\xc0";

}  // namespace

const Payload& Payload::nil() {
  static const Payload payload = [] {
    Payload made;
    made.digest = digest_in("arg", nil_bytes);
    made.size = nil_bytes.size();
    made.bytes = std::make_shared<const std::string>(nil_bytes);
    return made;
  }();
  return payload;
}

Payload Payload::of(std::string bytes) {
  if (bytes == nil_bytes) return nil();
  Payload payload;
  payload.digest = digest_in("arg", bytes);
  payload.size = bytes.size();
  payload.bytes = std::make_shared<const std::string>(std::move(bytes));
  return payload;
}

Result<Payload> Payload::of(const Value& value) {
  if (value.is_nil()) return nil();
  auto bytes = encode(value);
  if (!bytes) return tl::unexpected(std::move(bytes.error()));
  return of(std::move(*bytes));
}

bool Payload::is_nil() const {
  return size == nil_bytes.size() && digest == nil().digest;
}

std::string_view Payload::view() const {
  if (bytes) return *bytes;
  if (is_nil()) return nil_bytes;
  REPRISE_ASSERT(size == 0, digest.text(), size);
  return {};
}

Result<Value> Payload::value() const {
  if (is_none()) return fail(ErrorCode::not_found, "there is no value");
  if (!is_at_hand())
    return fail(ErrorCode::unavailable, "value " + digest.text() + " is not at hand");
  return decode(view());
}

}  // namespace reprise
