#include "actors/run_options.hpp"

#include <algorithm>
#include <utility>

#include "core/canon.hpp"

namespace reprise::actors {

namespace {

using scheduler::InitialState;
using scheduler::RunShape;

Value to_value(Time time) {
  return static_cast<std::int64_t>(time.time_since_epoch().count());
}

Value to_value(const Payload& payload) {
  if (payload.is_none()) return {};
  return List{Bytes{payload.is_at_hand() ? std::string(payload.view()) : std::string()},
              Bytes{std::string(payload.digest.raw())}, payload.size};
}

Value to_value(const std::map<std::string, Payload>& values) {
  Map map;
  for (const auto& [name, value] : values) map.emplace_back(name, to_value(value));
  return map;
}

template <class T>
Value to_value(const std::optional<T>& value) {
  return value ? to_value(*value) : Value{};
}

Value to_value(const InitialState& given) {
  List elements;
  for (const std::optional<InitialState>& element : given.elements)
    elements.push_back(element ? to_value(*element) : Value{});
  List labels;
  for (const std::string& label : given.labels) labels.push_back(Bytes{label});
  // A large result lies in the blob store; a run that is continued finds it there.
  Payload result = given.state.result;
  if (result.size > journal::inline_result_bytes) result.bytes = nullptr;
  return Map{{"state", name(given.state.state)},
             {"message", Bytes{given.state.message}},
             {"result", to_value(result)},
             {"start_time", to_value(given.state.start_time)},
             {"run_count", static_cast<std::uint64_t>(given.run_count)},
             {"loop_count", static_cast<std::uint64_t>(given.loop_count)},
             {"loop_result", to_value(given.loop_result)},
             {"inputs", to_value(given.inputs)},
             {"parameters", to_value(given.parameters)},
             {"expires", to_value(given.expires)},
             {"elements", std::move(elements)},
             {"labels", std::move(labels)}};
}

Value to_value(const RunOptions& options, bool with_cache) {
  const RunShape& shape = options.shape;
  Map initial;
  for (const auto& [name, state] : shape.initial) initial.emplace_back(name, to_value(state));
  List start;
  for (const std::string& name : shape.start_tasks) start.emplace_back(name);
  Map map{{"context", to_value(options.context)},
          {"initial", std::move(initial)},
          {"start_tasks", std::move(start)},
          {"single_pass", shape.single_pass},
          {"start_at", to_value(shape.start_at)}};
  if (shape.finished_as) map.emplace_back("finished_as", name(*shape.finished_as));
  if (options.submit_key) map.emplace_back("submit_key", Bytes{*options.submit_key});
  if (!options.ns.empty()) map.emplace_back("namespace", Bytes{options.ns});
  if (options.priority != 0) map.emplace_back("priority", options.priority);
  if (options.parent) map.emplace_back("parent", options.parent->text());
  if (options.nested_in)
    map.emplace_back("nested_in",
                     List{options.nested_in->run.text(), Bytes{options.nested_in->task},
                          static_cast<std::uint64_t>(options.nested_in->depth)});
  if (options.as_of) map.emplace_back("as_of", to_value(*options.as_of));
  if (!options.files.empty()) {
    Map files;
    for (const auto& [path, file] : options.files) files.emplace_back(Bytes{path}, file.to_value());
    map.emplace_back("files", std::move(files));
  }
  if (with_cache) map.emplace_back("cache", static_cast<int>(options.cache));
  if (with_cache && !options.labels.empty()) {
    Map labels;
    for (const auto& [name, text] : options.labels) labels.emplace_back(name, text);
    map.emplace_back("labels", std::move(labels));
  }
  return map;
}

// Reads what to_value() wrote; anything else sets `failed`.
class Reader {
 public:
  bool failed = false;

  template <class T>
  T get(const Value* value, T otherwise = {}) {
    if (value == nullptr || value->is_nil()) return otherwise;
    const T* found = value->get_if<T>();
    if (found == nullptr) failed = true;
    return found == nullptr ? otherwise : *found;
  }

  Payload payload(const Value& value) {
    if (value.is_nil()) return {};
    const List* parts = value.get_if<List>();
    if (parts == nullptr || parts->size() != 3) return failed = true, Payload{};
    const std::string bytes = get<Bytes>(&(*parts)[0]).data;
    if (!bytes.empty()) return Payload::of(bytes);
    Payload made;
    const auto digest = Digest::from_raw(get<Bytes>(&(*parts)[1]).data);
    if (!digest) return failed = true, Payload{};
    made.digest = *digest;
    made.size = static_cast<std::uint64_t>(get<std::int64_t>(&(*parts)[2]));
    return made;
  }

  std::map<std::string, Payload> payloads(const Value* value) {
    std::map<std::string, Payload> all;
    for (const auto& [name, each] : get<Map>(value))
      all.emplace(get<std::string>(&name), payload(each));
    return all;
  }

  std::optional<NestedIn> nested_in(const Value* value) {
    if (value == nullptr || value->is_nil()) return std::nullopt;
    const List parts = get<List>(value);
    if (parts.size() != 3) return failed = true, std::nullopt;
    const auto run = RunId::parse(get<std::string>(&parts[0]));
    const auto depth = get<std::int64_t>(&parts[2]);
    if (!run || depth < 1 || depth > nesting_limit) return failed = true, std::nullopt;
    return NestedIn{*run, get<Bytes>(&parts[1]).data, static_cast<std::uint32_t>(depth)};
  }

  std::optional<Time> time(const Value* value) {
    if (value == nullptr || value->is_nil()) return std::nullopt;
    return Time(Duration(get<std::int64_t>(value)));
  }

  InitialState initial(const Value& value) {
    InitialState given;
    const auto state = task_state_from(get<std::string>(value.find("state")));
    if (!state) failed = true;
    given.state.state = state.value_or(TaskState::pending);
    given.state.message = get<Bytes>(value.find("message")).data;
    if (const Value* result = value.find("result")) given.state.result = payload(*result);
    given.state.start_time = time(value.find("start_time"));
    given.run_count = static_cast<std::uint32_t>(get<std::int64_t>(value.find("run_count")));
    given.loop_count = static_cast<std::uint32_t>(get<std::int64_t>(value.find("loop_count")));
    if (const Value* result = value.find("loop_result")) given.loop_result = payload(*result);
    if (const Value* inputs = value.find("inputs"); inputs != nullptr && !inputs->is_nil())
      given.inputs = payloads(inputs);
    if (const Value* all = value.find("parameters"); all != nullptr && !all->is_nil())
      given.parameters = payloads(all);
    given.expires = time(value.find("expires"));
    for (const Value& element : get<List>(value.find("elements")))
      given.elements.push_back(element.is_nil() ? std::nullopt : std::optional(initial(element)));
    for (const Value& label : get<List>(value.find("labels")))
      given.labels.push_back(get<Bytes>(&label).data);
    return given;
  }
};

}  // namespace

std::string encode_options(const RunOptions& options) {
  return encode(to_value(options, true)).value_or("");
}

Result<RunOptions> decode_options(std::string_view bytes) {
  const Result<Value> value = decode(bytes);
  if (!value) return tl::unexpected(value.error());
  Reader reader;
  RunOptions options;
  const auto cache = reader.get<std::int64_t>(value->find("cache"));
  if (cache < 0 || cache > static_cast<std::int64_t>(CacheMode::only)) reader.failed = true;
  options.cache = static_cast<CacheMode>(cache);
  if (const Value* parent = value->find("parent"))
    if (const auto id = RunId::parse(reader.get<std::string>(parent))) options.parent = *id;
  options.nested_in = reader.nested_in(value->find("nested_in"));
  options.as_of = reader.time(value->find("as_of"));
  if (const Value* key = value->find("submit_key"))
    options.submit_key = reader.get<Bytes>(key).data;
  options.ns = reader.get<Bytes>(value->find("namespace")).data;
  options.priority = static_cast<std::int32_t>(std::clamp<std::int64_t>(
      reader.get<std::int64_t>(value->find("priority")), priority_least, priority_most));
  options.context = reader.payloads(value->find("context"));
  for (const auto& [name, text] : reader.get<Map>(value->find("labels")))
    options.labels.emplace(reader.get<std::string>(&name), reader.get<std::string>(&text));
  for (const auto& [path, file] : reader.get<Map>(value->find("files"))) {
    const auto known = as_file(file);
    if (!known) reader.failed = true;
    if (known) options.files.emplace(reader.get<Bytes>(&path).data, *known);
  }
  for (const auto& [name, state] : reader.get<Map>(value->find("initial")))
    options.shape.initial.emplace(reader.get<std::string>(&name), reader.initial(state));
  for (const Value& name : reader.get<List>(value->find("start_tasks")))
    options.shape.start_tasks.push_back(reader.get<std::string>(&name));
  options.shape.single_pass = reader.get<bool>(value->find("single_pass"));
  options.shape.start_at = reader.time(value->find("start_at"));
  if (const Value* state = value->find("finished_as"))
    options.shape.finished_as = run_state_from(reader.get<std::string>(state));
  if (reader.failed) return fail(ErrorCode::corrupt, "the options kept with the run make no sense");
  return options;
}

bool same_shape(const RunOptions& a, const RunOptions& b) {
  return encode(to_value(a, false)) == encode(to_value(b, false));
}

}  // namespace reprise::actors
