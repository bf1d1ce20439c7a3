// Random values for properties.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include <rapidcheck.h>

#include "core/canon.hpp"

namespace reprise::tests {

inline rc::Gen<std::string> any_text() {
  return rc::gen::map(
      rc::gen::container<std::vector<std::string>>(rc::gen::elementOf(
          std::vector<std::string>{"a", "b", "Z", "0", " ", "\n", "é", "語", "🙂",
                                   std::string(1, '\0'), "0123456789abcdef0123456789abcdef"})),
      [](const std::vector<std::string>& parts) {
        std::string text;
        for (const auto& part : parts) text += part;
        return text;
      });
}

inline rc::Gen<Value> any_scalar() {
  using rc::gen::map;
  auto number = rc::gen::oneOf(rc::gen::arbitrary<std::int64_t>(),
                               rc::gen::elementOf(std::vector<std::int64_t>{
                                   0, 127, 128, 255, 256, 65535, 65536, -1, -32, -33, -128, -129,
                                   -32769, INT32_MIN, INT32_MAX, INT64_MIN, INT64_MAX}));
  auto real =
      rc::gen::oneOf(rc::gen::arbitrary<double>(),
                     rc::gen::elementOf(std::vector<double>{
                         0.0, 1.0, -1.5, 1e300, 5e-324, std::numeric_limits<double>::infinity()}));
  return rc::gen::oneOf(
      rc::gen::just(Value()), map(rc::gen::arbitrary<bool>(), [](bool b) { return Value(b); }),
      map(number, [](std::int64_t n) { return Value(n); }),
      map(rc::gen::arbitrary<std::uint64_t>(), [](std::uint64_t n) { return Value(n); }),
      map(real, [](double d) { return Value(d); }),
      map(any_text(), [](std::string s) { return Value(std::move(s)); }),
      map(rc::gen::arbitrary<std::string>(),
          [](std::string s) { return Value(Bytes{std::move(s)}); }),
      map(rc::gen::pair(rc::gen::inRange<int>(20, 100), rc::gen::arbitrary<std::string>()),
          [](std::pair<int, std::string> e) {
            return Value(Ext{static_cast<std::int8_t>(e.first), std::move(e.second)});
          }));
}

/// Equal in the sense of the encoding: -0.0 is not 0.0, and maps are equal whatever their order.
inline bool is_same(const Value& a, const Value& b) {
  if (a.data.index() != b.data.index()) return false;
  if (const auto* x = a.get_if<double>()) {
    double y = *b.get_if<double>();
    return std::isnan(*x) ? std::isnan(y) : *x == y && std::signbit(*x) == std::signbit(y);
  }
  if (const auto* x = a.get_if<List>())
    return std::equal(x->begin(), x->end(), b.get_if<List>()->begin(), b.get_if<List>()->end(),
                      is_same);
  if (const auto* x = a.get_if<Map>()) {
    const Map& y = *b.get_if<Map>();
    return x->size() == y.size() && std::all_of(x->begin(), x->end(), [&](const auto& entry) {
             return std::any_of(y.begin(), y.end(), [&](const auto& other) {
               return is_same(entry.first, other.first) && is_same(entry.second, other.second);
             });
           });
  }
  return a == b;
}

inline Map without_twins(std::vector<std::pair<Value, Value>> entries) {
  Map map;
  for (auto& entry : entries) {
    bool known = std::any_of(map.begin(), map.end(),
                             [&](const auto& other) { return is_same(other.first, entry.first); });
    if (!known) map.push_back(std::move(entry));
  }
  return map;
}

inline rc::Gen<Value> any_value(int depth) {
  if (depth == 0) return any_scalar();
  auto inner = any_value(depth - 1);
  auto few = [](auto gen) { return rc::gen::resize(4, std::move(gen)); };
  return rc::gen::oneOf(any_scalar(), any_scalar(),
                        rc::gen::map(few(rc::gen::container<std::vector<Value>>(inner)),
                                     [](List list) { return Value(std::move(list)); }),
                        rc::gen::map(few(rc::gen::container<std::vector<std::pair<Value, Value>>>(
                                         rc::gen::pair(inner, inner))),
                                     [](std::vector<std::pair<Value, Value>> entries) {
                                       return Value(without_twins(std::move(entries)));
                                     }),
                        rc::gen::map(few(rc::gen::container<std::vector<Value>>(inner)),
                                     [](List list) { return tuple_value(list).value(); }),
                        rc::gen::map(few(rc::gen::container<std::vector<Value>>(inner)),
                                     [](List list) { return set_value(list).value(); }));
}

}  // namespace reprise::tests

namespace rc {
template <>
struct Arbitrary<reprise::Value> {
  static Gen<reprise::Value> arbitrary() { return reprise::tests::any_value(3); }
};
}  // namespace rc

namespace reprise {
inline void showValue(const Value& value, std::ostream& os) {
  os << to_json(value);
}
}  // namespace reprise
