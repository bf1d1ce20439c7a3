#include "flow/json_quick.hpp"

#include <memory>

#include <simdjson.h>

#include "flow/json_tree_builder.hpp"

namespace reprise {
namespace {

namespace ondemand = simdjson::ondemand;

// Its index of brackets, commas and tokens takes up to four times the size of the text.
constexpr std::size_t text_bytes_max = std::size_t{32} << 20;

/// Each of its functions throws what simdjson finds wrong, and is false where the builder refuses.
class QuickReader {
 public:
  QuickReader(const char* begin, JsonTreeBuilder& builder) : begin_(begin), builder_(builder) {}

  template <class Value>  // a value, or the document, which is one but for its type
  bool read(Value&& value) {
    const std::uint32_t at = position(std::string_view(value.raw_json_token()));
    switch (value.type()) {
      case ondemand::json_type::array:
        return read_array(value.get_array(), at);
      case ondemand::json_type::object:
        return read_object(value.get_object(), at);
      case ondemand::json_type::number:
        return builder_.number(value.get_double(), at);
      case ondemand::json_type::string:
        return builder_.text(std::string_view(value.get_string()), at);
      case ondemand::json_type::boolean:
        return builder_.boolean(value.get_bool(), at);
      case ondemand::json_type::null:
        if (!value.is_null()) throw simdjson::simdjson_error(simdjson::N_ATOM_ERROR);
        return builder_.null(at);
    }
    throw simdjson::simdjson_error(simdjson::UNEXPECTED_ERROR);
  }

 private:
  [[nodiscard]] std::uint32_t position(std::string_view token) const {
    return static_cast<std::uint32_t>(token.data() - begin_);
  }
  bool read_array(ondemand::array array, std::uint32_t at) {
    if (!builder_.open(JsonNode::Kind::array, at)) return false;
    for (ondemand::value element : array)
      if (!read(element)) return false;
    builder_.close();
    return true;
  }
  bool read_object(ondemand::object object, std::uint32_t at) {
    if (!builder_.open(JsonNode::Kind::object, at)) return false;
    for (ondemand::field field : object) {
      const auto quote = static_cast<std::uint32_t>(field.key().raw() - begin_ - 1);
      if (!builder_.key(std::string_view(field.unescaped_key()), quote)) return false;
      if (!read(field.value())) return false;
    }
    builder_.close();
    return true;
  }

  const char* begin_;
  JsonTreeBuilder& builder_;
};

}  // namespace

std::optional<ParsedJson> parse_good_json(std::string_view text, const JsonLimits& limits) {
  if (text.size() > text_bytes_max) return std::nullopt;
  ParsedJson result;
  JsonTreeBuilder builder(text.size(), limits, result);
  const auto parser = std::make_shared<ondemand::parser>();  // it keeps the texts
  builder.keep_alive(parser);
  try {
    const simdjson::padded_string padded(text);
    ondemand::document document = parser->iterate(padded);
    if (!QuickReader(padded.data(), builder).read(document)) return std::nullopt;
    const bool is_at_end = document.current_location().error() == simdjson::OUT_OF_BOUNDS;
    if (!is_at_end) return std::nullopt;
  } catch (const simdjson::simdjson_error&) {
    return std::nullopt;
  }
  result.ok = true;
  return result;
}

}  // namespace reprise
