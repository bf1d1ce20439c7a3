#include "core/failure.hpp"

#include "core/text.hpp"
#include "core/value.hpp"

namespace reprise {

namespace {

constexpr std::string_view type = "failure";
constexpr std::string_view version = "1";

std::string as_text(std::string_view text) {
  constexpr std::size_t longest = 4096;
  return escape_for_terminal(text.substr(0, longest));
}

}  // namespace

Payload failure_payload(std::string_view exception, std::string_view message) {
  const Result<Value> record = record_value(
      type, version, Map{{"exception", as_text(exception)}, {"message", as_text(message)}});
  if (!record) return Payload::nil();
  Result<Payload> payload = Payload::of(*record);
  return payload ? std::move(*payload) : Payload::nil();
}

bool is_failure(std::string_view bytes) {
  const auto head = static_cast<unsigned char>(bytes.empty() ? '\0' : bytes[0]);
  const bool is_extension = (head >= 0xc7 && head <= 0xc9) || (head >= 0xd4 && head <= 0xd8);
  if (!is_extension) return false;  // nearly always; the rest is rare
  const Result<Value> value = decode(bytes);
  const Ext* ext = value ? value->get_if<Ext>() : nullptr;
  if (ext == nullptr || ext->code != ext::record) return false;
  const Result<Value> parts = decode(ext->payload);
  const List* list = parts ? parts->get_if<List>() : nullptr;
  const std::string* name =
      list != nullptr && !list->empty() ? (*list)[0].get_if<std::string>() : nullptr;
  return name != nullptr && *name == type;
}

}  // namespace reprise
