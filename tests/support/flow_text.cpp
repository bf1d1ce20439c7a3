#include "tests/support/flow_text.hpp"

#include <stdexcept>
#include <vector>

#include "flow/flow_builder.hpp"

namespace reprise::test {

namespace {

std::string trim(std::string_view text) {
  const auto first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(' ') - first + 1));
}

struct Plan {
  std::vector<std::string> order;
  std::map<std::string, int> width;
  std::map<std::string, std::vector<std::pair<std::string, bool>>> upstreams;  // (name, mapped)

  std::string mention(std::string_view text) {
    std::string name = trim(text);
    if (const auto star = name.find('*'); star != std::string::npos) {
      const int count = std::stoi(name.substr(star + 1));
      name.resize(star);
      width[name] = count;
    }
    if (!upstreams.contains(name)) {
      upstreams[name];
      order.push_back(name);
    }
    return name;
  }
};

}  // namespace

std::shared_ptr<const FlowSpec> flow(std::string_view text,
                                     const std::map<std::string, TaskKind>& kinds) {
  Plan plan;
  while (!text.empty()) {
    const auto end = std::min(text.find(';'), text.size());
    const std::string_view statement = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto arrow = std::min(statement.find("->"), statement.find("=>"));
    if (arrow == std::string_view::npos) {
      if (!trim(statement).empty()) plan.mention(statement);
      continue;
    }
    const std::string from = plan.mention(statement.substr(0, arrow));
    const std::string to = plan.mention(statement.substr(arrow + 2));
    plan.upstreams[to].emplace_back(from, statement[arrow] == '=');
  }
  FlowBuilder builder("test");
  std::map<std::string, NodeId> ids;
  for (std::uint32_t n = 0; n < plan.order.size(); ++n) ids[plan.order[n]] = NodeId{n};
  for (const std::string& name : plan.order) {
    TaskKind kind;
    if (const auto given = kinds.find(name); given != kinds.end()) kind = given->second;
    if (kind.cache_name.empty()) kind.cache_name = name;
    builder.add_node(name, builder.add_kind(std::move(kind)));
    if (const auto width = plan.width.find(name); width != plan.width.end()) {
      List list;
      for (int i = 0; i < width->second; ++i) list.emplace_back(i);
      builder.add_constant("item", *Payload::of(Value{std::move(list)}), {.mapped = true});
    }
    for (const auto& [from, mapped] : plan.upstreams[name])
      builder.add_upstream(from, ids.at(from), {.mapped = mapped});
  }
  auto spec = std::move(builder).finish();
  if (!spec) throw std::runtime_error(spec.error().message);
  return std::make_shared<const FlowSpec>(std::move(*spec));
}

}  // namespace reprise::test
