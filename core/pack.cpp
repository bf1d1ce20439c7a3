#include "core/pack.hpp"

namespace reprise {

std::uint64_t Unpacker::number(int width) {
  std::string_view digits = take(static_cast<std::uint64_t>(width));
  std::uint64_t value = 0;
  for (char c : digits) value = value << 8 | static_cast<std::uint8_t>(c);
  return value;
}

std::string_view Unpacker::take(std::uint64_t size) {
  if (failed_ || size > remaining()) {
    failed_ = true;
    return {};
  }
  std::string_view part = data_.substr(position_, size);
  position_ += size;
  return part;
}

void Unpacker::owe(std::uint64_t values) {
  owed_ += values;  // cannot overflow: a count is below 2^33, and every earlier one was at most the
                    // input's size
  if (owed_ > remaining()) failed_ = true;
}

bool Unpacker::next(Token& token) {
  if (failed_ || remaining() == 0) {
    failed_ = true;
    return false;
  }
  if (owed_ > 0) --owed_;
  auto head = static_cast<std::uint8_t>(data_[position_++]);

  auto whole = [&](std::uint64_t value) {
    token.kind = Kind::unsigned_integer;
    token.unsigned_integer = value;
  };
  auto negative_or_not = [&](std::int64_t value) {
    if (value >= 0) return whole(static_cast<std::uint64_t>(value));
    token.kind = Kind::integer;
    token.integer = value;
  };
  auto string = [&](Kind kind, std::uint64_t size) {
    token.kind = kind;
    token.data = take(size);
  };
  auto ext = [&](std::uint64_t size) {
    token.code = static_cast<std::int8_t>(number(1));
    string(Kind::ext, size);
  };
  auto container = [&](Kind kind, std::uint64_t count) {
    token.kind = kind;
    token.count = static_cast<std::uint32_t>(count);
    owe(kind == Kind::map ? 2 * count : count);
  };

  if (head < 0x80) {
    whole(head);
  } else if (head < 0x90) {
    container(Kind::map, head & 0x0f);
  } else if (head < 0xa0) {
    container(Kind::array, head & 0x0f);
  } else if (head < 0xc0) {
    string(Kind::text, head & 0x1f);
  } else if (head >= 0xe0) {
    negative_or_not(static_cast<std::int8_t>(head));
  } else {
    switch (head) {
      case 0xc0:
        token.kind = Kind::nil;
        break;
      case 0xc2:
      case 0xc3:
        token.kind = Kind::boolean;
        token.boolean = head == 0xc3;
        break;
      case 0xc4:
        string(Kind::bytes, number(1));
        break;
      case 0xc5:
        string(Kind::bytes, number(2));
        break;
      case 0xc6:
        string(Kind::bytes, number(4));
        break;
      case 0xc7:
        ext(number(1));
        break;
      case 0xc8:
        ext(number(2));
        break;
      case 0xc9:
        ext(number(4));
        break;
      case 0xca:
        token.kind = Kind::real;
        token.real = std::bit_cast<float>(static_cast<std::uint32_t>(number(4)));
        break;
      case 0xcb:
        token.kind = Kind::real;
        token.real = std::bit_cast<double>(number(8));
        break;
      case 0xcc:
        whole(number(1));
        break;
      case 0xcd:
        whole(number(2));
        break;
      case 0xce:
        whole(number(4));
        break;
      case 0xcf:
        whole(number(8));
        break;
      case 0xd0:
        negative_or_not(static_cast<std::int8_t>(number(1)));
        break;
      case 0xd1:
        negative_or_not(static_cast<std::int16_t>(number(2)));
        break;
      case 0xd2:
        negative_or_not(static_cast<std::int32_t>(number(4)));
        break;
      case 0xd3:
        negative_or_not(static_cast<std::int64_t>(number(8)));
        break;
      case 0xd4:
        ext(1);
        break;
      case 0xd5:
        ext(2);
        break;
      case 0xd6:
        ext(4);
        break;
      case 0xd7:
        ext(8);
        break;
      case 0xd8:
        ext(16);
        break;
      case 0xd9:
        string(Kind::text, number(1));
        break;
      case 0xda:
        string(Kind::text, number(2));
        break;
      case 0xdb:
        string(Kind::text, number(4));
        break;
      case 0xdc:
        container(Kind::array, number(2));
        break;
      case 0xdd:
        container(Kind::array, number(4));
        break;
      case 0xde:
        container(Kind::map, number(2));
        break;
      case 0xdf:
        container(Kind::map, number(4));
        break;
      default:
        failed_ = true;  // 0xc1 is never used
    }
  }
  return !failed_;
}

std::string_view Unpacker::skip() {
  std::size_t start = position_;
  Token token;
  for (std::uint64_t values = 1; values > 0; --values) {
    if (!next(token)) return {};
    if (token.kind == Kind::array) values += token.count;
    if (token.kind == Kind::map) values += 2 * std::uint64_t{token.count};
  }
  return data_.substr(start, position_ - start);
}

bool Unpacker::expect(Kind kind, Token& token) {
  if (!next(token)) return false;
  if (token.kind != kind) failed_ = true;
  return !failed_;
}

void Unpacker::nil() {
  Token token;
  (void)expect(Kind::nil, token);
}

bool Unpacker::boolean() {
  Token token;
  return expect(Kind::boolean, token) && token.boolean;
}

std::uint64_t Unpacker::unsigned_integer(std::uint64_t max) {
  Token token;
  if (!expect(Kind::unsigned_integer, token)) return 0;
  if (token.unsigned_integer <= max) return token.unsigned_integer;
  failed_ = true;
  return 0;
}

std::int64_t Unpacker::integer() {
  Token token;
  if (!next(token)) return 0;
  if (token.kind == Kind::integer) return token.integer;
  if (token.kind == Kind::unsigned_integer && token.unsigned_integer <= INT64_MAX)
    return static_cast<std::int64_t>(token.unsigned_integer);
  failed_ = true;
  return 0;
}

double Unpacker::real() {
  Token token;
  return expect(Kind::real, token) ? token.real : 0;
}

std::string_view Unpacker::text() {
  Token token;
  return expect(Kind::text, token) ? token.data : std::string_view{};
}

std::string_view Unpacker::bytes() {
  Token token;
  return expect(Kind::bytes, token) ? token.data : std::string_view{};
}

std::uint32_t Unpacker::array() {
  Token token;
  return expect(Kind::array, token) ? token.count : 0;
}

void Unpacker::array(std::uint32_t count) {
  Token token;
  if (expect(Kind::array, token) && token.count != count) failed_ = true;
}

std::uint32_t Unpacker::map() {
  Token token;
  return expect(Kind::map, token) ? token.count : 0;
}

}  // namespace reprise
