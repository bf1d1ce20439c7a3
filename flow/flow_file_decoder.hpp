// First pass over a flow file: shapes, types, ranges and words, by tables of keys. Internal to the
// decoder.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flow/flow_file_draft.hpp"

namespace reprise::flow_file {

/// What a complaint may say beside its message.
struct Advice {
  std::string suggestion;
  std::string label;
  std::vector<std::string> help;
};

/// Collects complaints about the nodes of one document.
class Complaints {
 public:
  Complaints(const yaml::Document& document, std::vector<Diagnostic>& diagnostics)
      : document_(document), diagnostics_(diagnostics) {}

  Diagnostic& add(std::string_view code, const yaml::Node& node, std::string message,
                  Advice advice = {});
  /// About bytes [begin, end) of a scalar's text.
  Diagnostic& add_within(std::string_view code, const yaml::Node& scalar, std::size_t begin,
                         std::size_t end, std::string message, Advice advice = {});
  /// "'retry.max' of task 'align'", "'params.q.type'": how people call a value.
  [[nodiscard]] std::string name_of(const yaml::Node& node) const;
  /// Whether there are so few complaints and names that each may look through all names: a hundred
  /// thousand misspelt needs among as many tasks are complained about without advice.
  [[nodiscard]] bool can_afford(std::size_t names) const;
  /// suggest(), when it can be afforded.
  [[nodiscard]] std::string near(std::string_view word,
                                 std::span<const std::string> candidates) const;
  [[nodiscard]] const yaml::Document& document() const { return document_; }
  [[nodiscard]] std::size_t count() const { return diagnostics_.size(); }

 private:
  const yaml::Document& document_;
  std::vector<Diagnostic>& diagnostics_;
};

/// One key of a map: what it is called, what editors are told, and how its value is decoded into
/// `Target`.
template <class Target>
struct KeyRule {
  std::string_view name;
  std::string_view schema;  // JSON schema of the value
  std::string_view description;
  void (*decode)(class Decoder& decoder, const yaml::Node& value, Target& target);
  bool required = false;
};

class Decoder {
 public:
  explicit Decoder(Complaints& complaints) : complaints_(complaints) {}

  void flow(const yaml::Node& root, FlowDraft& flow);

  // Values. Each complains by itself and then returns nothing.
  std::optional<std::string> text(const yaml::Node& node, std::string_view wanted = "text");
  std::optional<bool> boolean(const yaml::Node& node, std::string_view wanted = "true or false");
  std::optional<std::int64_t> integer(const yaml::Node& node, std::int64_t least,
                                      std::int64_t most);
  std::optional<double> number(const yaml::Node& node);
  std::optional<Duration> duration(const yaml::Node& node);
  std::optional<std::uint64_t> bytes(const yaml::Node& node);
  /// Index of the word.
  std::optional<std::size_t> word(const yaml::Node& node,
                                  std::initializer_list<std::string_view> words);
  /// Text as it is written, also of numbers and bools: for arguments and environment variables.
  std::optional<std::string> written(const yaml::Node& node);
  /// Elements that are no text are complained about and left out.
  std::vector<Text> texts(const yaml::Node& node, std::string_view wanted, bool distinct);
  bool is_list(const yaml::Node& node, std::string_view wanted);
  bool is_map(const yaml::Node& node, std::string_view wanted);
  /// Complains: "… must be `wanted`, not …".
  void wrong_type(const yaml::Node& node, std::string_view wanted, Advice advice = {});

  /// Decodes a map by its table; complains about unknown and missing keys. False when the node is
  /// no map.
  template <class Target>
  bool map(const yaml::Node& node, std::span<const KeyRule<Target>> rules, Target& target);

  [[nodiscard]] Complaints& complaints() { return complaints_; }

 private:
  void unknown_key(const yaml::Node& key, const yaml::Node& map,
                   const std::vector<std::string>& known);
  void missing_key(const yaml::Node& map, std::string_view key, std::string_view description);

  Complaints& complaints_;
};

/// What a node is, for messages: "the number 30", "a list".
[[nodiscard]] std::string describe(const yaml::Node& node);
/// "a, b, c" in alphabetical order, shortened when there are many.
[[nodiscard]] std::string listed(std::vector<std::string> names);

// The tables, for the decoder and for print_schema().
[[nodiscard]] std::span<const KeyRule<FlowDraft>> flow_keys();
[[nodiscard]] std::span<const KeyRule<ParameterDraft>> parameter_keys();
[[nodiscard]] std::span<const KeyRule<TaskDraft>> task_keys();
[[nodiscard]] std::span<const KeyRule<PolicyDraft>> policy_keys();
[[nodiscard]] std::span<const KeyRule<RetryPolicy>> retry_keys();
[[nodiscard]] std::span<const KeyRule<CacheLife>> stale_keys();
[[nodiscard]] std::span<const KeyRule<FailureCaching>> negative_keys();
[[nodiscard]] std::span<const KeyRule<HashDraft>> hash_keys();
[[nodiscard]] std::span<const KeyRule<MapDraft>> map_keys();
[[nodiscard]] std::span<const KeyRule<ReduceDraft>> reduce_keys();
[[nodiscard]] std::span<const KeyRule<Trigger>> trigger_keys();
[[nodiscard]] std::span<const KeyRule<HookDraft>> hook_keys();
/// Schemas that are made of lists of words.
[[nodiscard]] std::string hooks_schema(bool of_run);
[[nodiscard]] std::string exits_schema();
/// Works on the whole policy because `version` and `ignore` need more than the CachePolicy.
[[nodiscard]] std::span<const KeyRule<PolicyDraft>> cache_keys();

template <class Target>
bool Decoder::map(const yaml::Node& node, std::span<const KeyRule<Target>> rules, Target& target) {
  if (!node.is_mapping()) {
    if (!node.broken) wrong_type(node, "a map of keys and values");
    return false;
  }
  for (const yaml::Entry& entry : node.entries) {
    bool known = false;
    for (const KeyRule<Target>& rule : rules) {
      if (rule.name != entry.key->text) continue;
      known = true;
      if (!entry.value->broken) rule.decode(*this, *entry.value, target);
    }
    if (known) continue;
    std::vector<std::string> names;
    for (const KeyRule<Target>& rule : rules) names.emplace_back(rule.name);
    unknown_key(*entry.key, node, names);
  }
  for (const KeyRule<Target>& rule : rules) {
    if (rule.required && !node.incomplete && node.find(rule.name) == nullptr)
      missing_key(node, rule.name, rule.description);
  }
  return true;
}

}  // namespace reprise::flow_file
