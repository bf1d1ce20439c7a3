#include "flow/chain_digest.hpp"

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise {

Digest chain_step(std::string_view line, std::span<const std::string_view> parents) {
  constexpr std::size_t hex_digits = 64;
  std::string text;
  text.reserve(line.size() + 1 + parents.size() * (hex_digits + 1));
  text.append(line).push_back('\n');
  for (const std::string_view parent : parents) text.append(parent).push_back('\n');
  return sha256(text);
}

Result<Digest> chain_digest(const FlowSpec& flow, std::span<const Payload> results) {
  if (results.size() != flow.nodes.size()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("chain digest needs the results of {} tasks, not {}", flow.nodes.size(),
                            results.size()));
  }
  std::vector<std::uint32_t> order(flow.nodes.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::sort(order, {},
                    [&](std::uint32_t i) { return std::string_view(flow.nodes[i].name); });

  Sha256 hash;
  for (const std::uint32_t i : order) {
    const std::string& name = flow.nodes[i].name;
    const Result<Value> value =
        results[i].is_none() || !results[i].is_at_hand() ? Value() : results[i].value();
    const auto* text = value ? value->get_if<std::string>() : nullptr;
    if (text == nullptr) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("task \"{}\" has no text as its result, which the chain digest needs",
                              escape_for_terminal(name)));
    }
    hash.update(name).update(" ").update(*text).update("\n");
  }
  return hash.finish();
}

}  // namespace reprise
