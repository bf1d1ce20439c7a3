#include "bench/task_bench.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <stdexcept>

#include <fmt/format.h>

#include "bench/kernel.hpp"
#include "core/assert.hpp"
#include "flow/flow_builder.hpp"

namespace reprise::bench {

namespace {

std::uint64_t siphash_2_4(const std::vector<std::int64_t>& words) {
  // Key bytes 1, 2, …, 15, 0, as Task Bench has them; words are hashed as little-endian bytes.
  const std::uint64_t k0 = 0x0807060504030201ULL;
  const std::uint64_t k1 = 0x000f0e0d0c0b0a09ULL;
  std::uint64_t v0 = k0 ^ 0x736f6d6570736575ULL, v1 = k1 ^ 0x646f72616e646f6dULL;
  std::uint64_t v2 = k0 ^ 0x6c7967656e657261ULL, v3 = k1 ^ 0x7465646279746573ULL;
  const auto rounds = [&](int count) {
    for (int i = 0; i < count; ++i) {
      v0 += v1, v1 = std::rotl(v1, 13), v1 ^= v0, v0 = std::rotl(v0, 32);
      v2 += v3, v3 = std::rotl(v3, 16), v3 ^= v2;
      v0 += v3, v3 = std::rotl(v3, 21), v3 ^= v0;
      v2 += v1, v1 = std::rotl(v1, 17), v1 ^= v2, v2 = std::rotl(v2, 32);
    }
  };
  for (const std::int64_t word : words) {
    v3 ^= static_cast<std::uint64_t>(word);
    rounds(2);
    v0 ^= static_cast<std::uint64_t>(word);
  }
  const std::uint64_t last = std::uint64_t{words.size() * 8} << 56;
  v3 ^= last;
  rounds(2);
  v0 ^= last;
  v2 ^= 0xff;
  rounds(4);
  return v0 ^ v1 ^ v2 ^ v3;
}

/// What `graph`'s definition gives for (step, point), whether it is there or not.
std::vector<std::int64_t> wanted(const Graph& graph, std::int64_t step, std::int64_t point) {
  const std::int64_t width = graph.width;
  std::vector<std::int64_t> all;
  switch (graph.pattern) {
    case Pattern::trivial:
      break;
    case Pattern::no_comm:
      all = {point};
      break;
    case Pattern::stencil_1d:
      all = {point - 1, point, point + 1};
      break;
    case Pattern::stencil_1d_periodic:
      all = {(point + width - 1) % width, point, (point + 1) % width};
      break;
    case Pattern::dom:
      all = {point - 1, point};
      break;
    case Pattern::tree:
      all = {point / 2};
      break;
    case Pattern::fft: {
      const auto stages = std::bit_width(static_cast<std::uint64_t>(width - 1));
      const std::int64_t stride = std::int64_t{1} << ((step - 1) % stages);
      all = {point - stride, point, point + stride};
      break;
    }
    case Pattern::all_to_all:
      for (std::int64_t q = 0; q < width; ++q) all.push_back(q);
      break;
    case Pattern::nearest:
    case Pattern::random_nearest:
      if (graph.radix == 0) break;
      for (std::int64_t q = point - graph.radix / 2; q <= point + (graph.radix - 1) / 2; ++q)
        if (graph.pattern == Pattern::nearest || q == point ||
            random_uniform({graph.index, graph.radix, step % graph.period, q, point}) <
                graph.fraction)
          all.push_back(q);
      break;
    case Pattern::spread:
      for (std::int64_t i = 0; i < graph.radix; ++i)
        all.push_back((point + i * width / graph.radix + (i > 0 ? step % graph.period : 0)) %
                      width);
      break;
  }
  return all;
}

}  // namespace

double random_uniform(const std::vector<std::int64_t>& words) {
  return static_cast<double>(siphash_2_4(words)) * 0x1.0p-64;
}

double compute(std::int64_t iterations) {
  return compute_bound(iterations);
}

std::int64_t Graph::first_point(std::int64_t step) const {
  return pattern == Pattern::dom ? std::max<std::int64_t>(0, step + width - steps) : 0;
}

std::int64_t Graph::points(std::int64_t step) const {
  if (pattern == Pattern::dom) return std::min({width, step + 1, steps - step});
  if (pattern == Pattern::tree && step < 62) return std::min(width, std::int64_t{1} << step);
  return width;
}

std::vector<std::int64_t> Graph::dependencies(std::int64_t step, std::int64_t point) const {
  if (step == 0) return {};
  const std::int64_t first = first_point(step - 1), end = first + points(step - 1);
  std::vector<std::int64_t> kept;
  for (const std::int64_t q : wanted(*this, step, point))
    if (q >= first && q < end) kept.push_back(q);
  std::sort(kept.begin(), kept.end());
  // Where a row is narrower than the radix, spread comes to the same point more than once.
  kept.erase(std::unique(kept.begin(), kept.end()), kept.end());
  return kept;
}

std::string output_of(std::int64_t step, std::int64_t point, std::size_t bytes) {
  std::string text;
  const std::int64_t place[2] = {step, point};
  while (text.size() + sizeof place <= std::max(bytes, sizeof place))
    text.append(reinterpret_cast<const char*>(place), sizeof place);
  return text;
}

void add_task_bench(worker::FunctionTable& table) {
  worker::Function function;
  function.name = "bench.point";
  // Arguments: iterations, step, point, the points it waits for, and their outputs.
  function.body = [](const worker::Call& call) {
    std::map<std::string_view, Value> given;
    for (const Argument& argument : call.arguments)
      given.emplace(argument.name, *argument.value.value());
    const auto number = [&](std::string_view name) {
      return *given.at(name).get_if<std::int64_t>();
    };
    const std::int64_t step = number("step"), point = number("point");
    const auto* sources = given.at("sources").get_if<List>();
    if (const auto inputs = given.find("inputs"); inputs != given.end()) {
      const auto* values = inputs->second.get_if<List>();
      if (values == nullptr || values->size() != sources->size())
        throw std::runtime_error("not as many inputs as it waits for");
      for (std::size_t i = 0; i < values->size(); ++i) {
        const auto* bytes = (*values)[i].get_if<Bytes>();
        const std::int64_t source = *(*sources)[i].get_if<std::int64_t>();
        if (bytes == nullptr || bytes->data != output_of(step - 1, source, bytes->data.size()))
          throw std::runtime_error(fmt::format("input {} of ({}, {}) is not the output of ({}, {})",
                                               i, step, point, step - 1, source));
      }
    } else if (!sources->empty()) {
      throw std::runtime_error("its inputs are missing");
    }
    const volatile double sum = compute(number("iterations"));
    static_cast<void>(sum);
    return worker::Returned{*Payload::of(Value{Bytes{output_of(step, point)}}), {}};
  };
  REPRISE_ASSERT(table.add(std::move(function)).has_value(), 0);
}

namespace {

/// Makes nodes, one kind for each number of inputs.
class FlowMaker {
 public:
  FlowMaker(std::int64_t iterations, Executor executor, std::string kernel)
      : executor_(executor),
        kernel_(std::move(kernel)),
        iterations_(*Payload::of(Value{iterations})),
        iterations_text_(std::to_string(iterations)) {}

  void add(const Graph& graph) {
    std::map<std::pair<std::int64_t, std::int64_t>, NodeId> nodes;
    for (std::int64_t t = 0; t < graph.steps; ++t) {
      const std::int64_t first = graph.first_point(t);
      for (std::int64_t p = first; p < first + graph.points(t); ++p) {
        const auto sources = graph.dependencies(t, p);
        nodes[{t, p}] = builder_.add_node(fmt::format("g{}.{}.{}", graph.index, t, p),
                                          kind_for(sources.size()));
        std::vector<NodeId> from;
        for (const std::int64_t q : sources) from.push_back(nodes.at({t - 1, q}));
        if (executor_ == Executor::function)
          add_function_inputs(t, p, sources, from);
        else
          add_command_inputs(t, p, sources, from);
      }
    }
  }

  std::shared_ptr<const FlowSpec> finish() && {
    auto flow = std::move(builder_).finish();
    REPRISE_ASSERT(flow.has_value(), flow.error().message);
    return std::make_shared<const FlowSpec>(*std::move(flow));
  }

 private:
  std::uint32_t kind_for(std::size_t inputs) {
    const std::size_t sort = executor_ == Executor::function ? 0 : inputs;
    if (const auto known = kinds_.find(sort); known != kinds_.end()) return known->second;
    TaskKind kind;
    kind.cache_name = "bench.point";
    if (executor_ == Executor::function) {
      kind.body = FunctionBody{"bench.point@1"};
    } else {
      CommandBody body;
      for (const std::string& word :
           {kernel_, iterations_text_, std::string("${{ step }}"), std::string("${{ point }}")})
        body.argv.push_back({word, {}});
      for (std::size_t i = 0; i < sort; ++i) {
        body.argv.push_back({fmt::format("${{{{ input{}.stdout }}}}", i), {}});
        body.argv.push_back({fmt::format("${{{{ source{} }}}}", i), {}});
      }
      kind.body = std::move(body);
    }
    return kinds_[sort] = builder_.add_kind(std::move(kind));
  }

  void add_function_inputs(std::int64_t step, std::int64_t point,
                           const std::vector<std::int64_t>& sources,
                           const std::vector<NodeId>& from) {
    List list;
    for (const std::int64_t source : sources) list.emplace_back(source);
    builder_.add_constant("iterations", iterations_);
    builder_.add_constant("step", *Payload::of(Value{step}));
    builder_.add_constant("point", *Payload::of(Value{point}));
    builder_.add_constant("sources", *Payload::of(Value{std::move(list)}));
    for (const NodeId node : from) builder_.add_upstream("inputs", node, {.gathered = true});
  }

  void add_command_inputs(std::int64_t step, std::int64_t point,
                          const std::vector<std::int64_t>& sources,
                          const std::vector<NodeId>& from) {
    builder_.add_constant("step", *Payload::of(Value{step}));
    builder_.add_constant("point", *Payload::of(Value{point}));
    for (std::size_t i = 0; i < sources.size(); ++i) {
      builder_.add_upstream(fmt::format("input{}", i), from[i]);
      builder_.add_constant(fmt::format("source{}", i),
                            *Payload::of(Value{fmt::format("{} {}", step - 1, sources[i])}));
    }
  }

  FlowBuilder builder_{"task-bench"};
  Executor executor_;
  std::string kernel_;
  Payload iterations_;
  std::string iterations_text_;
  std::map<std::size_t, std::uint32_t> kinds_;
};

}  // namespace

std::shared_ptr<const FlowSpec> task_bench_flow(const std::vector<Graph>& graphs,
                                                std::int64_t iterations, Executor executor,
                                                const std::string& kernel) {
  FlowMaker maker(iterations, executor, kernel);
  for (const Graph& graph : graphs) maker.add(graph);
  return std::move(maker).finish();
}

}  // namespace reprise::bench
