#include "tests/conformance/policy.hpp"

#include <algorithm>
#include <cctype>
#include <optional>

#include <fmt/format.h>

namespace reprise::conformance {
namespace {

struct contradiction {
  std::string message;
};

void configure(Policy& policy, const std::string& name, const std::string& setting) {
  const auto [known, is_new] = policy.configured.emplace(name, setting);
  if (!is_new && known->second != setting)
    throw contradiction{
        fmt::format("two policies want {} to be \"{}\" and \"{}\"", name, known->second, setting)};
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

std::string setting_name(const std::string& name) {
  if (name == "isolation_level") return "isolation";
  if (!is_one_of({"isolation", "lock_manager", "key_storage"}, name))
    throw bad_case(fmt::format("a policy has no \"{}\"", name));
  return name;
}

/// @throws bad_case: a word that means nothing to those who read it
void check_settings(const Policy& policy) {
  for (const auto& [name, setting] : policy.configured) {
    const std::string word = upper(setting);
    const bool is_lock =
        word.starts_with("MEMORY") || word.starts_with("FILE") || word.starts_with("REDIS");
    if (name == "isolation" && !is_one_of({"SERIALIZABLE", "READ_COMMITTED"}, word))
      throw bad_case(fmt::format("no isolation is called \"{}\"", setting));
    if (name == "lock_manager" && !is_lock)
      throw bad_case(fmt::format("no lock manager is called \"{}\"", setting));
  }
}

/// a + b: what counts for one, then what counts for the other.
Policy both(const Policy& a, const Policy& b) {
  Policy sum = a;
  for (const std::string& part : b.parts) sum.parts.push_back(part);
  if (std::count(sum.parts.begin(), sum.parts.end(), "INPUTS") > 1) {
    std::erase(sum.parts, "INPUTS");
    sum.parts.push_back("INPUTS");
  }
  sum.excluded.insert(b.excluded.begin(), b.excluded.end());
  for (const auto& [name, setting] : b.configured) configure(sum, name, setting);
  return sum;
}

/// sum := term (('+' term) | ('-' quoted))*     term := (NAME | '(' sum ')') ['.configure(…)']
class Parser {
 public:
  explicit Parser(const std::string& text) : text_(text) {}

  Policy all() {
    Policy policy = sum();
    if (at_ < text_.size()) fail();
    return policy;
  }

 private:
  Policy sum() {
    Policy policy = term();
    for (;;) {
      if (take('+')) {
        policy = both(policy, term());
      } else if (take('-')) {
        const std::string name = quoted();
        if (!policy.has("INPUTS")) continue;
        policy.excluded.insert(name);
        policy.configured.clear();  // the older system forgets them, too
      } else {
        return policy;
      }
    }
  }

  Policy term() {
    Policy policy;
    if (take('(')) {
      policy = sum();
      if (!take(')')) fail();
    } else {
      const std::string name = word();
      if (name == "DEFAULT")
        policy.parts = {"INPUTS", "TASK_SOURCE", "RUN_ID"};
      else if (name == "INPUTS" || name == "TASK_SOURCE" || name == "RUN_ID" ||
               name == "FLOW_PARAMETERS")
        policy.parts = {name};
      else if (name != "NO_CACHE" && name != "NONE")
        fail();
    }
    while (take('.')) {
      if (word() != "configure" || !take('(')) fail();
      while (!take(')')) {
        const std::string name = setting_name(word());
        if (!take('=')) fail();
        skip_space();
        const bool is_quoted = at_ < text_.size() && (text_[at_] == '\'' || text_[at_] == '"');
        policy.configured.insert_or_assign(name, is_quoted ? quoted() : word());
        take(',');
      }
    }
    return policy;
  }

  std::string word() {
    skip_space();
    const std::size_t from = at_;
    while (at_ < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0 || text_[at_] == '_'))
      ++at_;
    if (at_ == from) fail();
    return text_.substr(from, at_ - from);
  }

  std::string quoted() {
    skip_space();
    if (at_ >= text_.size()) fail();
    const char quote = text_[at_];
    if (quote != '\'' && quote != '"')
      throw contradiction{"only the name of an argument can be taken from a policy"};
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string::npos) fail();
    std::string inside = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return inside;
  }

  bool take(char wanted) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  void skip_space() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  [[noreturn]] void fail() const {
    throw bad_case(fmt::format("the policy \"{}\" is not understood at {}", text_, at_));
  }

  const std::string& text_;
  std::size_t at_ = 0;
};

Policy described(const Json& description, const std::string& otherwise) {
  if (description.is_null()) return Parser(otherwise).all();
  if (description.is_string()) {
    const std::string text = description.get<std::string>();
    return Parser(text).all();
  }
  check_members(description, "a policy",
                {"policy", "expression", "expr", "key_fn", "storage_key", "isolation",
                 "isolation_level", "lock_manager", "key_storage"});
  Policy policy;
  for (const char* name : {"policy", "expression", "expr"})
    if (description.contains(name)) policy = described(description[name], otherwise);
  if (description.contains("key_fn")) policy.key_function = text_in(description, "key_fn");
  if (description.contains("storage_key")) policy.storage_key = text_in(description, "storage_key");
  if (description.empty()) throw bad_case("a policy says nothing");
  return policy;
}

void take_settings(Policy& policy, const Json& from) {
  for (const char* name : {"isolation", "isolation_level", "lock_manager", "key_storage"}) {
    const auto found = from.find(name);
    if (found == from.end() || found->is_null()) continue;
    policy.configured.insert_or_assign(
        setting_name(name), found->is_string() ? found->get<std::string>() : found->dump());
  }
}

}  // namespace

bool Policy::is_serializable() const {
  const auto isolation = configured.find("isolation");
  return isolation != configured.end() && upper(isolation->second) == "SERIALIZABLE";
}

bool Policy::has(const std::string& part) const {
  return std::find(parts.begin(), parts.end(), part) != parts.end();
}

expected<Policy> policy_of(const Json& call, const std::string& otherwise) {
  static const Json none;
  const auto found = call.find("policy");
  const Json& description = found == call.end() ? none : *found;
  try {
    // null is said by a user, too: nothing is kept. Only a missing policy is the default.
    Policy policy = described(description, found == call.end() ? otherwise : "NO_CACHE");
    if (description.is_object()) take_settings(policy, description);
    take_settings(policy, call);
    check_settings(policy);
    if (policy.is_serializable() && !policy.configured.contains("lock_manager"))
      throw contradiction{"a serializable policy needs a lock manager"};
    return policy;
  } catch (const contradiction& why) {
    return tl::unexpected(error{error_code::invalid_argument, why.message});
  }
}

}  // namespace reprise::conformance
