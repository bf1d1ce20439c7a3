#include "scheduler/need.hpp"

#include <algorithm>
#include <tuple>

namespace reprise::scheduler {

namespace {

void add(std::vector<std::string>& functions, const Body& body) {
  if (const auto* call = std::get_if<FunctionBody>(&body)) functions.push_back(call->function);
}

void settle(std::vector<std::string>& functions) {
  std::erase(functions, std::string());
  std::ranges::sort(functions);
  functions.erase(std::unique(functions.begin(), functions.end()), functions.end());
}

}  // namespace

bool operator<(const Need& a, const Need& b) {
  const auto all = [](const Need& n) {
    return std::tie(n.resources.cpu_milli, n.resources.memory_bytes, n.resources.custom, n.labels,
                    n.functions, n.nesting);
  };
  return all(a) < all(b);
}

Need need_of(const TaskKind& kind) {
  if (std::holds_alternative<NestedBody>(kind.body)) return Need{Resources{0, 0, {}}, {}, {}};
  Need need{kind.resources, kind.require, {}};
  std::erase_if(need.resources.custom, [](const auto& each) { return each.second == 0; });
  add(need.functions, kind.body);
  settle(need.functions);
  return need;
}

Need need_of_questions(const TaskKind& kind) {
  Need need = need_of_questions(kind.hooks);
  need.labels = kind.require;
  need.functions.push_back(kind.trigger.function);
  need.functions.push_back(kind.cache.key_function);
  need.functions.push_back(kind.cache.validator_function);
  settle(need.functions);
  return need;
}

Need need_of_questions(const std::vector<Hook>& run_hooks) {
  Need need;
  for (const Hook& hook : run_hooks) add(need.functions, hook.body);
  settle(need.functions);
  return need;
}

}  // namespace reprise::scheduler
