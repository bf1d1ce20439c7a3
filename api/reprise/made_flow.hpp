// A flow as a value: what a task gives that makes a flow while another one runs (flow::nest).
#pragma once

#include <string>

#include "reprise/value.hpp"

namespace reprise {

class flow;

/// Tasks that make one have it as their result type and return a flow:
///
///   inline constexpr auto plan = reprise::task<"plan">([](int n) -> reprise::made_flow {
///     reprise::flow f{"squares"};
///     f.output("all", f.map(square, reprise::range(n)));
///     return f;
///   });
class made_flow {
 public:
  static constexpr bool reprise_reads_it = true;

  made_flow() = default;  // no flow: nest() fails
  /// What the flow is now. It is data, without the functions: whoever runs it has to know them.
  /// @throws usage_error invalid_argument: it has two tasks of one name, a cycle, a dynamic task,
  /// or user code other than tasks (hooks, triggers, key functions, validators)
  made_flow(const flow& from);

  bool operator==(const made_flow&) const = default;

 private:
  friend struct codec::format<made_flow>;
  std::string record_;  // docs/protocol.md, "Flow record"
};

template <>
struct codec::format<made_flow> {
  static constexpr bool carried = true;
  static void write(writer& out, const made_flow& made) { out.bytes(made.record_); }
  static void read(reader&, const object& in, made_flow& made) {
    if (in.type != msgpack::type::BIN) throw msgpack::type_error();
    made.record_.assign(in.via.bin.ptr, in.via.bin.size);
  }
  static std::string type() { return "bytes"; }
};

}  // namespace reprise
