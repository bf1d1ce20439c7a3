// Replies from a server that may say anything, in any portions.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "redis/policy.hpp"
#include "redis/reply_reader.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  constexpr reprise::redis::Limits limits{.reply_bytes = 4096, .reply_elements = 64};
  const std::size_t portion = data[0] + 1u;
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  (void)reprise::redis::check_policy(reprise::redis::facts_from_info(rest),
                                     reprise::redis::Role::journal);
  reprise::redis::ReplyReader reader(limits);
  bool broken = false;
  while (!rest.empty()) {
    if (!reader.feed(rest.substr(0, portion))) broken = true;
    rest.remove_prefix(std::min(portion, rest.size()));
    for (;;) {
      const auto reply = reader.next();
      if (reply && broken) std::abort();  // a broken stream stays broken
      if (!reply) broken = true;
      if (!reply || !*reply) break;
      if ((*reply)->elements.size() > limits.reply_elements) std::abort();
      if ((*reply)->is_error()) (void)error_of(**reply, "redis");
    }
  }
  return 0;
}
