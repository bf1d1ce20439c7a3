// REPRISE_ADAPT makes a plain struct a value that tasks can take and give:
//
//   struct option { double strike = 0; int days = 0; };
//   REPRISE_ADAPT(option, "pricing.option", 1, strike, days)
//
// to be written in the struct's own namespace, after it. The name and version are part of cache
// keys; raise the version when a field changes its meaning. The struct must be
// default-constructible and its fields public.
//
// The alternatives: msgpack's own MSGPACK_DEFINE(strike, days) or MSGPACK_DEFINE_MAP(strike, days)
// inside the struct, whose name in keys is then its list of field types, or the one given by a
// member `static constexpr std::string_view reprise_type = "pricing.option@1";`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>

namespace reprise::codec {

template <class Struct, class Member>
struct field {
  std::string_view name;
  Member Struct::*member;
};

/// What REPRISE_ADAPT says about a struct.
template <class... Fields>
struct record_description {
  std::string_view name;
  std::uint32_t version;
  std::tuple<Fields...> fields;
};

template <class... Fields>
constexpr record_description<Fields...> describe_record(std::string_view name,
                                                        std::uint32_t version, Fields... fields) {
  return {name, version, {fields...}};
}

template <class Struct, class Member>
constexpr field<Struct, Member> describe_field(std::string_view name, Member Struct::*member) {
  return {name, member};
}

/// REPRISE_ADAPT was written for T.
template <class T>
concept adapted = requires(const T* type) {
  reprise_record(type);
};

}  // namespace reprise::codec

#define REPRISE_ADAPT(Type, name, version, ...)                                               \
  [[maybe_unused]] constexpr auto reprise_record(const Type*) {                               \
    return ::reprise::codec::describe_record(                                                 \
        name, version __VA_OPT__(, ) REPRISE_DETAIL_FIELDS(Type __VA_OPT__(, ) __VA_ARGS__)); \
  }

// One description per field, up to 256 of them (the recursion described in
// https://www.scs.stanford.edu/~dm/blog/va-opt.html).
#define REPRISE_DETAIL_PARENTHESES ()
#define REPRISE_DETAIL_EXPAND(...) \
  REPRISE_DETAIL_EXPAND4(          \
      REPRISE_DETAIL_EXPAND4(REPRISE_DETAIL_EXPAND4(REPRISE_DETAIL_EXPAND4(__VA_ARGS__))))
#define REPRISE_DETAIL_EXPAND4(...) \
  REPRISE_DETAIL_EXPAND3(           \
      REPRISE_DETAIL_EXPAND3(REPRISE_DETAIL_EXPAND3(REPRISE_DETAIL_EXPAND3(__VA_ARGS__))))
#define REPRISE_DETAIL_EXPAND3(...) \
  REPRISE_DETAIL_EXPAND2(           \
      REPRISE_DETAIL_EXPAND2(REPRISE_DETAIL_EXPAND2(REPRISE_DETAIL_EXPAND2(__VA_ARGS__))))
#define REPRISE_DETAIL_EXPAND2(...) \
  REPRISE_DETAIL_EXPAND1(           \
      REPRISE_DETAIL_EXPAND1(REPRISE_DETAIL_EXPAND1(REPRISE_DETAIL_EXPAND1(__VA_ARGS__))))
#define REPRISE_DETAIL_EXPAND1(...) __VA_ARGS__
#define REPRISE_DETAIL_FIELDS(Type, ...) \
  __VA_OPT__(REPRISE_DETAIL_EXPAND(REPRISE_DETAIL_FIELD(Type, __VA_ARGS__)))
#define REPRISE_DETAIL_FIELD(Type, member, ...)            \
  ::reprise::codec::describe_field(#member, &Type::member) \
      __VA_OPT__(, REPRISE_DETAIL_NEXT REPRISE_DETAIL_PARENTHESES(Type, __VA_ARGS__))
#define REPRISE_DETAIL_NEXT() REPRISE_DETAIL_FIELD
