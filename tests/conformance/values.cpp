#include "tests/conformance/values.hpp"

#include <algorithm>

namespace reprise::conformance {
namespace {

bool is_failure_of(const Json& wanted, const value& got) {
  if (!wanted.is_object() || wanted.size() != 1 || !wanted.contains("exception")) return false;
  const Json fields = to_json(got);
  if (!fields.is_object() || !fields.contains("exception")) return false;
  auto type = fields["exception"].get<std::string>();
  const std::size_t scope = type.rfind("::");
  if (scope != std::string::npos) type.erase(0, scope + 2);
  return wanted["exception"] == type;
}

/// A number; truth counts as one.
template <class T>
std::optional<T> number_in(const value& any) {
  if (const auto* truth = any.get_if<bool>()) return static_cast<T>(*truth ? 1 : 0);
  if (const auto* number = any.get_if<std::int64_t>()) return static_cast<T>(*number);
  if constexpr (std::is_floating_point_v<T>) {
    if (const auto* number = any.get_if<double>()) return *number;
    if (const auto* number = any.get_if<std::uint64_t>()) return static_cast<T>(*number);
  }
  return std::nullopt;
}

}  // namespace

value to_value(const Json& json) {
  switch (json.type()) {
    case Json::value_t::boolean:
      return json.get<bool>();
    case Json::value_t::number_integer:
      return json.get<std::int64_t>();
    case Json::value_t::number_unsigned:
      return json.get<std::uint64_t>();
    case Json::value_t::number_float:
      return json.get<double>();
    case Json::value_t::string:
      return json.get<std::string>();
    case Json::value_t::array: {
      value::list items;
      for (const Json& each : json) items.push_back(to_value(each));
      return items;
    }
    case Json::value_t::object: {
      value::map entries;
      for (const auto& [key, each] : json.items()) entries.emplace_back(key, to_value(each));
      return entries;
    }
    case Json::value_t::null:
    case Json::value_t::binary:
    case Json::value_t::discarded:
      break;
  }
  return {};
}

Json to_json(const value& any) {
  return Json::parse(any.to_json());
}

bool is_expected(const Json& wanted, const std::optional<value>& got) {
  if (!got) return wanted.is_null();
  if (codec::is_failure(got->to_bytes())) return is_failure_of(wanted, *got);
  if (const auto* items = got->get_if<value::list>())
    return wanted.is_array() && wanted.size() == items->size() &&
           std::equal(items->begin(), items->end(), wanted.begin(),
                      [](const value& item, const Json& each) { return is_expected(each, item); });
  if (const auto* entries = got->get_if<value::map>())
    return wanted.is_object() && wanted.size() == entries->size() &&
           std::all_of(entries->begin(), entries->end(), [&](const auto& entry) {
             const auto* name = entry.first.template get_if<std::string>();
             const auto each = name == nullptr ? wanted.end() : wanted.find(*name);
             return each != wanted.end() && is_expected(*each, entry.second);
           });
  return wanted == to_json(*got);
}

bool equal_in_bodies(const value& any, const Json& other) {
  const auto a = number_in<double>(any);
  const auto b = number_in<double>(to_value(other));
  if (a && b) return *a == *b;
  return to_json(any) == other;
}

value plus(const value& a, const value& b) {
  const auto whole_a = number_in<std::int64_t>(a), whole_b = number_in<std::int64_t>(b);
  if (whole_a && whole_b) {
    std::int64_t sum = 0;
    if (__builtin_add_overflow(*whole_a, *whole_b, &sum))
      throw std::runtime_error("the sum is too large");
    return sum;
  }
  const auto real_a = number_in<double>(a), real_b = number_in<double>(b);
  if (real_a && real_b) return *real_a + *real_b;
  const auto *text_a = a.get_if<std::string>(), *text_b = b.get_if<std::string>();
  if (text_a && text_b) return *text_a + *text_b;
  const auto *list_a = a.get_if<value::list>(), *list_b = b.get_if<value::list>();
  if (list_a && list_b) {
    value::list both = *list_a;
    both.insert(both.end(), list_b->begin(), list_b->end());
    return both;
  }
  throw std::runtime_error("these cannot be added");
}

}  // namespace reprise::conformance
