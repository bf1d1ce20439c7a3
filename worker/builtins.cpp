// The functions every program has; docs/functions.md describes them for people who write flow
// files.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/assert.hpp"
#include "core/text.hpp"
#include "core/value.hpp"
#include "flow/chain_digest.hpp"
#include "worker/functions.hpp"

namespace reprise::worker {
namespace {

/// Exceptions of a body are the task's failure message.
[[noreturn]] void refuse(std::string message) {
  throw std::runtime_error(std::move(message));
}

template <class T>
T or_refuse(Result<T> result) {
  if (!result) refuse(std::move(result.error().message));
  return *std::move(result);
}

std::string_view type_name(const Value& value) {
  struct Namer {
    std::string_view operator()(std::monostate) const { return "nil"; }
    std::string_view operator()(bool) const { return "a boolean"; }
    std::string_view operator()(std::int64_t) const { return "a whole number"; }
    std::string_view operator()(std::uint64_t) const { return "a whole number"; }
    std::string_view operator()(double) const { return "a number"; }
    std::string_view operator()(const std::string&) const { return "a text"; }
    std::string_view operator()(const Bytes&) const { return "bytes"; }
    std::string_view operator()(const List&) const { return "a list"; }
    std::string_view operator()(const Map&) const { return "a map"; }
    std::string_view operator()(const Ext&) const { return "a value of an extension type"; }
  };
  return std::visit(Namer{}, value.data);
}

/// The arguments of a call, decoded, in the order of the function's parameters.
///
/// An argument is taken by its name. A flow file may name inputs as it likes (`map: as: s`,
/// `reduce`), so one that has no parameter's name is taken by its place.
class Arguments {
 public:
  Arguments(const Call& call, const Signature& signature) : signature_(signature) {
    const auto is_parameter = [&](std::string_view name) {
      return std::ranges::any_of(signature.inputs,
                                 [&](const auto& input) { return input.first == name; });
    };
    for (std::size_t i = 0; i < signature.inputs.size(); ++i) {
      const std::string& name = signature.inputs[i].first;
      const auto named = std::ranges::find(call.arguments, name, &Argument::name);
      if (named != call.arguments.end()) {
        values_.push_back(or_refuse(named->value.value()));
      } else if (i < call.arguments.size() && !is_parameter(call.arguments[i].name)) {
        values_.push_back(or_refuse(call.arguments[i].value.value()));
      } else {
        refuse(fmt::format("argument \"{}\" is missing", name));
      }
    }
  }

  [[nodiscard]] const Value& operator[](std::size_t i) const { return values_[i]; }

  [[nodiscard]] const std::string& text(std::size_t i) const {
    return as<std::string>(i, "a text");
  }
  [[nodiscard]] const List& list(std::size_t i) const { return as<List>(i, "a list"); }
  [[nodiscard]] std::int64_t whole_number(std::size_t i) const {
    return as<std::int64_t>(i, "a whole number");
  }
  [[nodiscard]] double number(std::size_t i) const {
    if (const auto* whole = values_[i].get_if<std::int64_t>()) return static_cast<double>(*whole);
    return as<double>(i, "a number");
  }

 private:
  template <class T>
  const T& as(std::size_t i, std::string_view wanted) const {
    if (const T* value = values_[i].get_if<T>()) return *value;
    refuse(fmt::format("argument \"{}\" must be {}, not {}", signature_.inputs[i].first, wanted,
                       type_name(values_[i])));
  }

  const Signature& signature_;
  std::vector<Value> values_;
};

// ---- Traces ----

Value trace_hash(const Arguments& arguments) {
  std::vector<std::string_view> parents;
  parents.reserve(arguments.list(1).size());
  for (const Value& parent : arguments.list(1)) {
    const auto* digest = parent.get_if<std::string>();
    if (digest == nullptr)
      refuse(fmt::format("a parent's result must be a text, not {}", type_name(parent)));
    parents.push_back(*digest);
  }
  return chain_step(arguments.text(0), parents).hex();
}

/// Returns at `deadline`, not before. @error throws when asked to stop
void sleep_until(std::chrono::steady_clock::time_point deadline, const std::stop_token& stop) {
  if (!stop.stop_possible()) {
    std::this_thread::sleep_until(deadline);
    return;
  }
  std::mutex mutex;
  std::condition_variable_any woken;
  std::unique_lock lock(mutex);
  // The predicate never holds: only the deadline or the stop token ends the wait.
  woken.wait_until(lock, stop, deadline, [] { return false; });
  if (stop.stop_requested()) refuse("stopped while it slept");
}

/// Since `started`: decoding belongs to the time.
void sleep_for(double seconds, std::chrono::steady_clock::time_point started,
               const std::stop_token& stop) {
  constexpr double seconds_max = 10 * 365.25 * 86400;
  if (!(seconds >= 0 && seconds <= seconds_max)) {
    refuse(fmt::format("cannot sleep for {} seconds; 0 to 10 years are possible", seconds));
  }
  if (seconds > 0) {
    // Rounded up: a task that ended too early would make a schedule look better than is possible.
    const auto duration =
        std::chrono::nanoseconds(static_cast<std::int64_t>(std::ceil(seconds * 1e9)));
    sleep_until(started + duration, stop);
  }
}

// ---- Lists ----

/// a + b: a whole number as long as both are, else a float.
Value sum_of(const Value& a, const Value& b) {
  const auto* whole_a = a.get_if<std::int64_t>();
  const auto* whole_b = b.get_if<std::int64_t>();
  if (whole_a != nullptr && whole_b != nullptr) {
    std::int64_t sum = 0;
    if (__builtin_add_overflow(*whole_a, *whole_b, &sum))
      refuse(fmt::format("{} + {} does not fit into 64 bits", *whole_a, *whole_b));
    return sum;
  }
  const auto as_float = [](const Value& value) {
    if (const auto* whole = value.get_if<std::int64_t>()) return static_cast<double>(*whole);
    if (const auto* number = value.get_if<double>()) return *number;
    refuse(fmt::format("only numbers can be added, not {}", type_name(value)));
  };
  return as_float(a) + as_float(b);
}

Value list_sum(const Arguments& arguments) {
  Value sum = 0;
  for (const Value& value : arguments.list(0)) sum = sum_of(sum, value);
  return sum;
}

Value list_concat(const Arguments& arguments) {
  List all;
  for (const Value& value : arguments.list(0)) {
    const auto* list = value.get_if<List>();
    if (list == nullptr) refuse(fmt::format("only lists can be joined, not {}", type_name(value)));
    all.insert(all.end(), list->begin(), list->end());
  }
  return all;
}

Value list_length(const Arguments& arguments) {
  return static_cast<std::int64_t>(arguments.list(0).size());
}

Value list_range(const Arguments& arguments) {
  constexpr std::int64_t length_max = 1'000'000;
  const std::int64_t first = arguments.whole_number(0);
  const std::int64_t last = arguments.whole_number(1);
  std::int64_t length = 0;
  if (__builtin_sub_overflow(last, first, &length) || length >= length_max) {
    refuse(fmt::format("a range of more than {} numbers: {} to {}", length_max, first, last));
  }
  List numbers;
  for (std::int64_t i = 0; i <= length; ++i) numbers.emplace_back(first + i);
  return numbers;
}

// ---- Texts ----

Value text_join(const Arguments& arguments) {
  std::string joined;
  bool is_first = true;
  for (const Value& value : arguments.list(0)) {
    if (!std::exchange(is_first, false)) joined += arguments.text(1);
    const auto* text = value.get_if<std::string>();
    joined += text != nullptr ? *text : to_json(value);
  }
  return joined;
}

Value text_split(const Arguments& arguments) {
  const std::string_view text = arguments.text(0);
  const std::string_view separator = arguments.text(1);
  if (separator.empty()) refuse("argument \"separator\" is empty");
  List parts;
  std::size_t begin = 0;
  for (std::size_t end = text.find(separator); end != std::string_view::npos;
       end = text.find(separator, begin)) {
    parts.emplace_back(text.substr(begin, end - begin));
    begin = end + separator.size();
  }
  parts.emplace_back(text.substr(begin));
  return parts;
}

// Only the letters of ASCII: what others become depends on the language.
Value text_upper(const Arguments& arguments) {
  std::string text = arguments.text(0);
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

Value text_lower(const Arguments& arguments) {
  std::string text = arguments.text(0);
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

// ---- Numbers, JSON ----

Value math_add(const Arguments& arguments) {
  return sum_of(arguments[0], arguments[1]);
}

Value math_multiply(const Arguments& arguments) {
  const auto* a = arguments[0].get_if<std::int64_t>();
  const auto* b = arguments[1].get_if<std::int64_t>();
  if (a == nullptr || b == nullptr) return arguments.number(0) * arguments.number(1);
  std::int64_t product = 0;
  if (__builtin_mul_overflow(*a, *b, &product))
    refuse(fmt::format("{} * {} does not fit into 64 bits", *a, *b));
  return product;
}

Value json_parse(const Arguments& arguments) {
  return or_refuse(from_json(arguments.text(0)));
}
Value json_text(const Arguments& arguments) {
  return to_json(arguments[0]);
}

using Parameters = std::vector<std::pair<std::string, std::string>>;
using ValueBody = Value (*)(const Arguments&);

void add(FunctionTable& table, Function function) {
  function.home = Function::Home::program;
  const std::string name = function.name;
  const Status added = table.add(std::move(function));
  REPRISE_ASSERT(added.has_value(), name);  // nobody else registers these names first
}

void add(FunctionTable& table, std::string name, Parameters inputs, std::string type,
         ValueBody body) {
  const Signature signature{std::move(inputs), {{"result", std::move(type)}}};
  add(table, {std::move(name), "1", signature, [body, signature](const Call& call) {
                return Returned{or_refuse(Payload::of(body(Arguments(call, signature)))), {}};
              }});
}

}  // namespace

void add_builtins(FunctionTable& table) {
  // The signatures of the trace functions are those of flow/trace.cpp; they enter cache keys there.
  const Signature hash{{{"line", "str"}, {"parents", "list<str>"}}, {{"digest", "str"}}};
  add(table, {"trace.hash", "1", hash, [hash](const Call& call) {
                return Returned{or_refuse(Payload::of(trace_hash(Arguments(call, hash)))), {}};
              }});
  const Signature sleep{{{"seconds", "f64"}}, {{"result", "nil"}}};
  add(table, {"trace.sleep", "1", sleep, [sleep](const Call& call) {
                const auto started = std::chrono::steady_clock::now();
                sleep_for(Arguments(call, sleep).number(0), started, call.stop);
                return Returned{Payload::nil(), {}};
              }});
  const Signature timed{{{"line", "str"}, {"parents", "list<str>"}, {"seconds", "f64"}},
                        {{"digest", "str"}}};
  add(table, {"trace.timed", "1", timed, [timed](const Call& call) {
                const auto started = std::chrono::steady_clock::now();
                const Arguments arguments(call, timed);
                sleep_for(arguments.number(2), started, call.stop);
                return Returned{or_refuse(Payload::of(trace_hash(arguments))), {}};
              }});
  add(table, {"trace.noop", "1", {{}, {{"result", "nil"}}}, [](const Call&) {
                return Returned{Payload::nil(), {}};
              }});

  add(table, "list.sum", {{"values", "list<any>"}}, "any", list_sum);
  add(table, "list.concat", {{"values", "list<list<any>>"}}, "list<any>", list_concat);
  add(table, "list.length", {{"values", "list<any>"}}, "i64", list_length);
  add(table, "list.range", {{"first", "i64"}, {"last", "i64"}}, "list<i64>", list_range);
  add(table, "text.join", {{"values", "list<any>"}, {"separator", "str"}}, "str", text_join);
  add(table, "text.split", {{"text", "str"}, {"separator", "str"}}, "list<str>", text_split);
  add(table, "text.upper", {{"text", "str"}}, "str", text_upper);
  add(table, "text.lower", {{"text", "str"}}, "str", text_lower);
  add(table, "math.add", {{"a", "any"}, {"b", "any"}}, "any", math_add);
  add(table, "math.multiply", {{"a", "any"}, {"b", "any"}}, "any", math_multiply);
  add(table, "json.parse", {{"text", "str"}}, "any", json_parse);
  add(table, "json.text", {{"value", "any"}}, "str", json_text);
}

}  // namespace reprise::worker
