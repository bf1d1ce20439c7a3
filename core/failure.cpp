#include "core/failure.hpp"

#include <algorithm>

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

bool holds_failure(const Value& value) {
  const auto any = [](const List& list) {
    return std::any_of(list.begin(), list.end(),
                       [](const Value& each) { return holds_failure(each); });
  };
  if (const List* list = value.get_if<List>()) return any(*list);
  if (const Map* map = value.get_if<Map>())
    return std::any_of(map->begin(), map->end(), [](const auto& entry) {
      return holds_failure(entry.first) || holds_failure(entry.second);
    });
  const Ext* ext = value.get_if<Ext>();
  if (ext == nullptr || ext->code < ext::tuple || ext->code > ext::record) return false;
  if (is_failure_record(value)) return true;
  const Result<Value> parts = decode(ext->payload);  // of a tuple, a set or another record
  return parts && holds_failure(*parts);
}

}  // namespace

Payload failure_payload(std::string_view exception, std::string_view message) {
  const Result<Value> record = record_value(
      type, version, Map{{"exception", as_text(exception)}, {"message", as_text(message)}});
  if (!record) return Payload::nil();
  Result<Payload> payload = Payload::of(*record);
  return payload ? std::move(*payload) : Payload::nil();
}

bool is_failure_record(const Value& value) {
  const Ext* ext = value.get_if<Ext>();
  if (ext == nullptr || ext->code != ext::record) return false;
  const Result<Value> parts = decode(ext->payload);
  const List* list = parts ? parts->get_if<List>() : nullptr;
  const std::string* name =
      list != nullptr && !list->empty() ? (*list)[0].get_if<std::string>() : nullptr;
  return name != nullptr && *name == type;
}

bool is_failure(std::string_view bytes) {
  const auto head = static_cast<unsigned char>(bytes.empty() ? '\0' : bytes[0]);
  const bool is_extension = (head >= 0xc7 && head <= 0xc9) || (head >= 0xd4 && head <= 0xd8);
  if (!is_extension) return false;  // nearly always; the rest is rare
  const Result<Value> value = decode(bytes);
  return value && is_failure_record(*value);
}

bool holds_failure(const Payload& value) {
  // Every value that a key is made of passes here, and hardly one holds a failure: no value is
  // decoded that does not have the bytes of a record's type and version in it.
  constexpr std::string_view mark =
      "\xa7"
      "failure"
      "\xa1"
      "1";
  if (!value.bytes || value.view().find(mark) == std::string_view::npos) return false;
  const Result<Value> decoded = value.value();
  return decoded && holds_failure(*decoded);
}

}  // namespace reprise
