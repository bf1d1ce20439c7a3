#include "redis/reply_reader.hpp"

#include <rapidcheck.h>
#include <boost/test/unit_test.hpp>

#include "redis/commands.hpp"

namespace reprise::redis {

BOOST_AUTO_TEST_SUITE(ReplyReader_)
namespace {

using namespace std::string_literals;

Reply text(std::string value) {
  return {.kind = Reply::Kind::text, .integer = 0, .text = std::move(value), .elements = {}};
}
Reply list(std::vector<Reply> values) {
  return {.kind = Reply::Kind::array, .integer = 0, .text = {}, .elements = std::move(values)};
}

std::vector<Reply> read_all(ReplyReader& reader, std::string_view bytes) {
  BOOST_REQUIRE(reader.feed(bytes));
  std::vector<Reply> replies;
  for (;;) {
    auto reply = reader.next();
    BOOST_REQUIRE_MESSAGE(reply, reply.error().message);
    if (!*reply) return replies;
    replies.push_back(std::move(**reply));
  }
}

ErrorCode code_of(std::string_view bytes, Limits limits = {}) {
  ReplyReader reader(limits);
  if (auto fed = reader.feed(bytes); !fed) return fed.error().code;
  for (;;) {
    auto reply = reader.next();
    if (!reply) return reply.error().code;
    if (!*reply) BOOST_FAIL("no error");
  }
}

BOOST_AUTO_TEST_CASE(all_kinds_of_replies_are_read) {
  ReplyReader reader({});
  const auto replies = read_all(reader,
                                "+OK\r\n-ERR no\r\n:-17\r\n$3\r\na\0b\r\n$-1\r\n*2\r\n$1\r\nx\r\n"
                                "*2\r\n:1\r\n*-1\r\n*0\r\n"s);
  BOOST_REQUIRE(replies.size() == 7u);
  BOOST_TEST(replies[0].is_status("OK"));
  BOOST_TEST(replies[1].is_error());
  BOOST_TEST(replies[1].text == "ERR no");
  BOOST_TEST(replies[2].integer == -17);
  BOOST_TEST((replies[3] == text(std::string("a\0b", 3))));
  BOOST_TEST(replies[4].is_nil());
  BOOST_REQUIRE(replies[5].elements.size() == 2u);
  BOOST_TEST((replies[5].elements[0] == text("x")));
  BOOST_TEST(replies[5].elements[1].elements[0].integer == 1);
  BOOST_TEST(replies[5].elements[1].elements[1].is_nil());
  BOOST_TEST((replies[6] == list({})));
}

BOOST_AUTO_TEST_CASE(replies_may_come_in_any_pieces) {
  BOOST_TEST(rc::check([] {
    const auto texts =
        *rc::gen::container<std::vector<std::string>>(rc::gen::arbitrary<std::string>());
    Commands wire;  // arrays of texts look the same in both directions
    wire.begin(texts.size());
    for (const std::string& each : texts) wire.argument(each);
    ReplyReader reader({});
    std::vector<Reply> replies;
    std::string_view left = wire.wire();
    while (!left.empty()) {
      const auto size = *rc::gen::inRange<std::size_t>(1, left.size() + 1);
      RC_ASSERT(reader.feed(left.substr(0, size)).has_value());
      left.remove_prefix(size);
      auto reply = reader.next();
      RC_ASSERT(reply.has_value());
      if (*reply) replies.push_back(std::move(**reply));
    }
    std::vector<Reply> expected;
    for (const std::string& each : texts) expected.push_back(text(each));
    RC_ASSERT(replies == std::vector<Reply>{list(expected)});
  }));
}

BOOST_AUTO_TEST_CASE(what_is_no_reply_is_refused) {
  for (const char* bytes : {"HTTP/1.1 200 OK\r\n", "%1\r\n+a\r\n:1\r\n", "$x\r\n", "*-2\r\n",
                            ":12345678901234567890123\r\n", "$-2\r\n"})
    BOOST_TEST((code_of(bytes) == ErrorCode::corrupt), bytes);
  std::string deep;
  for (int i = 0; i < 20; ++i) deep += "*1\r\n";
  BOOST_TEST((code_of(deep + ":1\r\n") == ErrorCode::corrupt));
}

BOOST_AUTO_TEST_CASE(claims_and_lengths_have_limits) {
  const Limits small{.reply_bytes = 1000, .reply_elements = 10};
  BOOST_TEST((code_of("*11\r\n", small) == ErrorCode::corrupt));
  BOOST_TEST((code_of("*2147483647\r\n") == ErrorCode::corrupt));
  BOOST_TEST((code_of("*5\r\n*5\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n*5\r\n:1\r\n:1\r\n:1\r\n",
                      small) == ErrorCode::corrupt));
  BOOST_TEST((code_of(std::string(1001, '+'), small) == ErrorCode::corrupt));
  ReplyReader reader(small);
  for (int round = 0; round < 5; ++round) {  // per round trip, not for good
    reader.start_round();
    BOOST_TEST(read_all(reader, "$300\r\n" + std::string(300, 'x') + "\r\n").size() == 1u);
  }
}

BOOST_AUTO_TEST_CASE(after_nonsense_nothing_is_read_any_more) {
  ReplyReader reader({});
  BOOST_REQUIRE(reader.feed("?\r\n"));
  BOOST_TEST(!reader.next());
  (void)reader.feed("+OK\r\n");
  BOOST_TEST(!reader.next());
}

BOOST_AUTO_TEST_CASE(errors_are_sorted_by_what_can_be_done) {
  const auto code = [](std::string message) {
    return error_of({.kind = Reply::Kind::error,
                     .integer = 0,
                     .text = std::move(message),
                     .elements = {}},
                    "redis")
        .code;
  };
  BOOST_TEST((code("NOPERM this user has no permissions") == ErrorCode::denied));
  BOOST_TEST((code("READONLY You can't write against a read only replica.") == ErrorCode::denied));
  BOOST_TEST((code("OOM command not allowed") == ErrorCode::exhausted));
  BOOST_TEST((code("LOADING Redis is loading") == ErrorCode::unavailable));
  BOOST_TEST((code("MISCONF Errors writing to the AOF file") == ErrorCode::unavailable));
  BOOST_TEST((code("WRONGTYPE Operation against a key") == ErrorCode::corrupt));
  BOOST_TEST((code("ERR unknown") == ErrorCode::internal));
  BOOST_TEST((code("LOADINGX") == ErrorCode::internal));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace reprise::redis
