#include "redis/reply_reader.hpp"

#include <algorithm>
#include <new>

#include <fmt/format.h>
#include <hiredis/read.h>

#include "core/text.hpp"

namespace reprise::redis {

struct ReplyReader::Parser {
  Limits limits;
  std::uint64_t bytes = 0;
  std::uint32_t elements = 0;
  bool over_limit = false;
  bool broken = false;
  redisReader* reader = nullptr;

  // Elements are appended as they arrive: a count that the server only claims costs nothing. Only
  // the element made last is ever filled further, so growing its parent's list moves nothing that
  // the parser still points to.
  static Reply* make(const redisReadTask* task, Reply::Kind kind) {
    auto* parser = static_cast<Parser*>(task->privdata);
    if (++parser->elements > parser->limits.reply_elements) {
      parser->over_limit = true;
      return nullptr;
    }
    Reply* made = nullptr;
    if (task->parent != nullptr)
      made = &static_cast<Reply*>(task->parent->obj)->elements.emplace_back();
    else
      made = new Reply;  // owned by the parser's stack until it is complete
    made->kind = kind;
    return made;
  }
  static void* make_text(const redisReadTask* task, char* data, size_t size) {
    const auto kind = task->type == REDIS_REPLY_ERROR    ? Reply::Kind::error
                      : task->type == REDIS_REPLY_STATUS ? Reply::Kind::status
                                                         : Reply::Kind::text;
    Reply* made = make(task, kind);
    if (made) made->text.assign(data, size);
    return made;
  }
  static void* make_array(const redisReadTask* task, int count) {
    auto* parser = static_cast<Parser*>(task->privdata);
    if (count < 0 || static_cast<std::uint32_t>(count) > parser->limits.reply_elements) {
      parser->over_limit = true;
      return nullptr;
    }
    Reply* made = make(task, Reply::Kind::array);
    if (made) made->elements.reserve(std::min<std::size_t>(static_cast<std::size_t>(count), 64));
    return made;
  }
  static void* make_integer(const redisReadTask* task, long long value) {
    Reply* made = make(task, Reply::Kind::integer);
    if (made) made->integer = value;
    return made;
  }
  static void* make_nil(const redisReadTask* task) { return make(task, Reply::Kind::nil); }
  static void free_reply(void* reply) { delete static_cast<Reply*>(reply); }
};

ReplyReader::ReplyReader(Limits limits) : parser_(std::make_unique<Parser>()) {
  static redisReplyObjectFunctions functions{&Parser::make_text, &Parser::make_array,
                                             &Parser::make_integer, &Parser::make_nil,
                                             &Parser::free_reply};
  parser_->limits = limits;
  parser_->reader = redisReaderCreateWithFunctions(&functions);
  if (parser_->reader == nullptr) throw std::bad_alloc();
  parser_->reader->privdata = parser_.get();
  parser_->reader->maxbuf = 0;  // keep the buffer: large values come in many pieces
}

ReplyReader::~ReplyReader() {
  redisReaderFree(parser_->reader);
}

void ReplyReader::start_round() {
  parser_->bytes = 0;
  parser_->elements = 0;
}

Status ReplyReader::feed(std::string_view bytes) {
  parser_->bytes += bytes.size();
  if (parser_->bytes > parser_->limits.reply_bytes) {
    parser_->broken = true;
    return fail(ErrorCode::corrupt, fmt::format("a reply is larger than {}",
                                                describe_bytes(parser_->limits.reply_bytes)));
  }
  if (!parser_->broken) (void)redisReaderFeed(parser_->reader, bytes.data(), bytes.size());
  return {};
}

Result<std::optional<Reply>> ReplyReader::next() {
  if (parser_->broken) return fail(ErrorCode::corrupt, "the connection's replies are lost");
  void* found = nullptr;
  if (redisReaderGetReply(parser_->reader, &found) != REDIS_OK) {
    parser_->broken = true;
    if (parser_->over_limit)
      return fail(ErrorCode::corrupt,
                  fmt::format("a reply has more than {} values", parser_->limits.reply_elements));
    return fail(ErrorCode::corrupt, fmt::format("no reply of the protocol: {}",
                                                escape_for_terminal(parser_->reader->errstr)));
  }
  if (found == nullptr) return std::nullopt;
  const std::unique_ptr<Reply> reply(static_cast<Reply*>(found));
  return std::move(*reply);
}

}  // namespace reprise::redis
