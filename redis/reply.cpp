#include "redis/reply.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise::redis {
namespace {

using Words = std::string_view;

bool begins_with_any(std::string_view text, std::initializer_list<Words> words) {
  const std::string_view first = text.substr(0, text.find(' '));
  return std::find(words.begin(), words.end(), first) != words.end();
}

}  // namespace

bool is_not_serving(const Reply& reply) {
  return reply.is_error() &&
         (begins_with_any(reply.text, {"LOADING", "BUSY", "MISCONF", "MASTERDOWN", "CLUSTERDOWN",
                                       "TRYAGAIN", "NOREPLICAS"}) ||
          reply.text.starts_with("ERR max number of clients"));
}

Error error_of(const Reply& reply, std::string_view who) {
  ErrorCode code = ErrorCode::internal;
  if (is_not_serving(reply))
    code = ErrorCode::unavailable;
  else if (begins_with_any(reply.text, {"NOPERM", "NOAUTH", "WRONGPASS", "READONLY", "DENIED"}) ||
           reply.text.starts_with("ERR AUTH") || reply.text.starts_with("ERR invalid password"))
    code = ErrorCode::denied;
  else if (begins_with_any(reply.text, {"OOM"}))
    code = ErrorCode::exhausted;
  else if (begins_with_any(reply.text, {"WRONGTYPE"}))
    code = ErrorCode::corrupt;
  // A server may say anything, also a megabyte of it.
  return {code, fmt::format("{} answered: {}", who,
                            escape_for_terminal(std::string_view(reply.text).substr(0, 300)))};
}

}  // namespace reprise::redis
