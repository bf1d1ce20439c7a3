// One struct per way to make a struct a value.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "reprise/reprise.hpp"

namespace reprise::samples {

enum class colour : std::int16_t { red, blue = 300 };

struct option {
  double strike = 0;
  int days = 0;
  std::set<std::string> tags{};
  colour kind = colour::red;
  bool operator==(const option&) const = default;
};
REPRISE_ADAPT(option, "samples.option", 1, strike, days, tags, kind)

struct other_option {
  double strike = 0;
};
REPRISE_ADAPT(other_option, "samples.option", 2, strike)

struct point {
  double x = 0;
  float y = 0;
  bool operator==(const point&) const = default;
  MSGPACK_DEFINE(x, y)
};

struct nested {
  point where;
  option what;
  std::variant<int, std::string> either{};
  std::set<int> seen{};
  std::pair<int, double> pair{};
  reprise::value any{};
  std::map<std::string, colour> colours{};
  bool operator==(const nested&) const = default;
  MSGPACK_DEFINE(where, what, either, seen, pair, any, colours)
};

struct tree {
  std::string name{};
  double weight = 0;
  std::vector<tree> children{};
  bool operator==(const tree&) const = default;
  MSGPACK_DEFINE_MAP(weight, name, children)
};

namespace geo {
struct place {
  static constexpr std::string_view reprise_type = "geo.place@3";
  std::string name;
  point at;
  bool operator==(const place&) const = default;
  MSGPACK_DEFINE_MAP(name, at)
};
}  // namespace geo

/// Adapted by somebody else, below.
struct fraction {
  int numerator = 0;
  int denominator = 1;
  bool operator==(const fraction&) const = default;
};

/// Says that two items follow, whatever follows.
struct miscounting {
  int items = 2;
  template <class Packer>
  void msgpack_pack(Packer& out) const {
    out.pack_array(2);
    for (int i = 1; i <= items; ++i) out.pack_int(i);
  }
  void msgpack_unpack(const msgpack::object&) {}
};

}  // namespace reprise::samples

namespace msgpack {
MSGPACK_API_VERSION_NAMESPACE(MSGPACK_DEFAULT_API_NS) {
  namespace adaptor {

  template <>
  struct pack<reprise::samples::fraction> {
    template <class Stream>
    packer<Stream>& operator()(packer<Stream>& out, const reprise::samples::fraction& value) const {
      out.pack_array(2);
      out << value.numerator << value.denominator;
      return out;
    }
  };

  template <>
  struct convert<reprise::samples::fraction> {
    const msgpack::object& operator()(const msgpack::object& in,
                                      reprise::samples::fraction& value) const {
      if (in.type != msgpack::type::ARRAY || in.via.array.size != 2) throw msgpack::type_error();
      value = {in.via.array.ptr[0].as<int>(), in.via.array.ptr[1].as<int>()};
      return in;
    }
  };

  }  // namespace adaptor
}  // MSGPACK_API_VERSION_NAMESPACE(MSGPACK_DEFAULT_API_NS)
}  // namespace msgpack
