#include "core/key_space.hpp"

#include <fmt/format.h>

#include "core/pack.hpp"
#include "core/text.hpp"

namespace reprise {
namespace {

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// Takes the text before the next comma from the front of a list.
std::string_view next_of(std::string_view& list) {
  const std::size_t comma = list.find(',');
  const std::string_view first = trimmed(list.substr(0, comma));
  list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
  return first;
}

// Each is one more look-up of everything that misses.
constexpr std::size_t accounts_read_most = 8;

}  // namespace

Result<KeySpace> KeySpace::parse(std::string account, std::string salt, std::string_view salts,
                                 std::string_view also_read) {
  KeySpace space;
  if (account.empty() || !is_utf8(account))
    return fail(ErrorCode::invalid_argument, "an account is a text that is not empty");
  space.account = std::move(account);
  space.salt = std::move(salt);
  while (!salts.empty()) {
    const std::string_view pair = next_of(salts);
    const std::size_t sign = pair.rfind('=');
    const std::string_view name = trimmed(pair.substr(0, sign));
    if (sign == std::string_view::npos || name.empty() || !is_utf8(pair))
      return fail(ErrorCode::invalid_argument,
                  fmt::format("\"{}\" is no salt of a task; write TASK=SALT, with commas between",
                              shorten(escape_for_terminal(pair), 80)));
    space.salts.insert_or_assign(std::string(name), trimmed(pair.substr(sign + 1)));
  }
  while (!also_read.empty()) {
    const std::string_view each = next_of(also_read);
    if (each.empty() || !is_utf8(each))
      return fail(ErrorCode::invalid_argument,
                  "accounts to read are names with commas between; one of them is none");
    if (each != space.account) space.also_read.emplace_back(each);
  }
  if (space.also_read.size() > accounts_read_most)
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} accounts to read; {} are the most", space.also_read.size(),
                            accounts_read_most));
  return space;
}

// A task's own salt is text. What stands for several of them begins with the header of a list,
// which no text in UTF-8 does.
void KeySpace::apply_to(Material& material) const {
  material.account = account;
  const auto of_task = salts.find(material.name);
  const std::string_view task = of_task == salts.end() ? std::string_view{} : of_task->second;
  if (salt.empty() && task.empty()) return;
  std::string framed;
  Packer pack(framed);
  pack.array(3);
  pack.bytes(salt);
  pack.bytes(task);
  pack.bytes(material.salt);
  material.salt = std::move(framed);
}

std::vector<Key> KeySpace::keys_elsewhere(Material material) const {
  std::vector<Key> keys;
  for (const std::string& each : also_read) {
    material.account = each;
    keys.push_back(Key::of(material));
  }
  return keys;
}

std::string shown_salt(std::string_view salt) {
  Unpacker unpack(salt);
  if (is_utf8(salt) || unpack.array() != 3) return escape_for_terminal(salt);
  std::string shown;
  for (const std::string_view whose : {"operator's", "task's by the operator", "task's own"}) {
    const std::string_view each = unpack.bytes();
    if (each.empty()) continue;
    if (!shown.empty()) shown += ", ";
    shown += fmt::format("{}: {}", whose, escape_for_terminal(each));
  }
  return shown;
}

}  // namespace reprise
