// Values as JSON, which knows fewer types: lossy on the way out, plain on the way in.
#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <openssl/evp.h>
#include <nlohmann/json.hpp>

#include "core/canon.hpp"
#include "core/text.hpp"
#include "core/value.hpp"

namespace reprise {
namespace {

using Json = nlohmann::ordered_json;

constexpr int max_json_depth = 2 * max_value_depth;

constexpr auto replace_invalid = Json::error_handler_t::replace;

Json to_json(const Value& value, int level);

Json base64(std::string_view bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');  // OpenSSL ends it with a NUL
  std::size_t done = 0, written = 0;
  while (done < bytes.size()) {  // in blocks that fit its int
    std::size_t block = std::min<std::size_t>(bytes.size() - done, 3 << 20);
    written += static_cast<std::size_t>(EVP_EncodeBlock(
        reinterpret_cast<unsigned char*>(text.data() + written),
        reinterpret_cast<const unsigned char*>(bytes.data() + done), static_cast<int>(block)));
    done += block;
  }
  text.resize(written);
  return text;
}

Json array(const List& list, int level) {
  Json json = Json::array();
  for (const Value& element : list) json.push_back(to_json(element, level + 1));
  return json;
}

/// A key as JSON needs it, if it has such a form. Lists and maps have none: writing one inside of
/// another's text would double its quotes' backslashes at every level.
std::optional<std::string> key_text(const Value& key) {
  if (const auto* text = key.get_if<std::string>())
    return is_utf8(*text) ? *text : escape_for_terminal(*text);
  if (key.get_if<Bytes>() || key.get_if<List>() || key.get_if<Map>() || key.get_if<Ext>())
    return std::nullopt;
  return to_json(key, 0).dump();
}

/// The entries' names; nothing when one has none or two are the same, such as 1 and "1".
std::optional<std::vector<std::string>> key_texts(const Map& map) {
  std::vector<std::string> names;
  names.reserve(map.size());
  bool are_plain = true;  // keys that are text differ anyway
  for (const auto& entry : map) {
    auto name = key_text(entry.first);
    if (!name) return std::nullopt;
    const auto* text = entry.first.get_if<std::string>();
    if (!text || *text != *name) are_plain = false;
    names.push_back(*std::move(name));
  }
  if (!are_plain) {
    std::vector<std::string_view> sorted(names.begin(), names.end());
    std::sort(sorted.begin(), sorted.end());
    if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) return std::nullopt;
  }
  return names;
}

Json object(const Map& map, int level) {
  auto names = key_texts(map);
  if (!names) {
    Json pairs = Json::array();
    for (const auto& [key, value] : map)
      pairs.push_back(Json::array({to_json(key, level + 1), to_json(value, level + 1)}));
    return Json{{"$map", std::move(pairs)}};
  }
  // Not through Json::operator[], which looks every key up one by one.
  Json::object_t entries;
  entries.reserve(map.size());
  for (std::size_t i = 0; i < map.size(); ++i)
    static_cast<std::vector<Json::object_t::value_type>&>(entries).emplace_back(
        std::move((*names)[i]), to_json(map[i].second, level + 1));
  return Json(std::move(entries));
}

Json opaque(const Ext& extension) {
  return {{"$ext", extension.code}, {"$bytes", base64(extension.payload)}};
}

Json extension_type(const Ext& extension, int level) {
  Value value(extension);
  if (auto file = as_file(value)) {
    Json json = {{"$file", file->content.text()}, {"size", file->size}};
    if (file->executable) json["executable"] = true;
    return json;
  }
  if (auto time = as_timestamp(value)) return to_rfc3339(*time);
  if (extension.code == ext::record) {
    auto record = decode(extension.payload);
    const List* parts = record ? record->get_if<List>() : nullptr;
    if (parts && parts->size() == 3) return to_json((*parts)[2], level + 1);
  }
  if (auto elements = elements_of(value)) return array(*elements, level);
  return opaque(extension);
}

struct Renderer {
  int level;
  Json operator()(std::monostate) const { return nullptr; }
  Json operator()(bool value) const { return value; }
  Json operator()(std::int64_t value) const { return value; }
  Json operator()(std::uint64_t value) const { return value; }
  Json operator()(double value) const { return value; }
  Json operator()(const std::string& value) const { return value; }
  Json operator()(const Bytes& value) const { return {{"$bytes", base64(value.data)}}; }
  Json operator()(const List& value) const { return array(value, level); }
  Json operator()(const Map& value) const { return object(value, level); }
  Json operator()(const Ext& value) const { return extension_type(value, level); }
};

Json to_json(const Value& value, int level) {
  if (level > max_json_depth) return "…";
  return std::visit(Renderer{level}, value.data);
}

/// Builds the value while the parser reads, so that neither depth nor repeated keys get past
/// unnoticed.
class ValueBuilder : public nlohmann::json_sax<nlohmann::json> {
 public:
  Value root;
  std::string problem;

  bool null() override { return add(Value()); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(std::int64_t{value}); }
  bool number_unsigned(number_unsigned_t value) override { return add(std::uint64_t{value}); }
  bool number_float(number_float_t value, const string_t&) override { return add(double{value}); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(Map{}); }
  bool start_array(std::size_t) override { return open(List{}); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    std::get<Map>(open_.back()->data).emplace_back(Value(std::move(name)), Value());
    return true;
  }
  bool end_object() override {
    const Map& map = std::get<Map>(open_.back()->data);
    std::vector<std::string_view> names;
    names.reserve(map.size());
    for (const auto& entry : map) names.push_back(std::get<std::string>(entry.first.data));
    std::sort(names.begin(), names.end());
    if (auto twin = std::adjacent_find(names.begin(), names.end()); twin != names.end()) {
      problem = fmt::format("key \"{}\" comes twice in one object",
                            shorten(escape_for_terminal(*twin), 60));
      return false;
    }
    return close();
  }
  bool parse_error(std::size_t position, const std::string& token,
                   const nlohmann::json::exception&) override {
    problem = fmt::format("is no JSON at byte {}, near \"{}\"", position,
                          shorten(escape_for_terminal(token), 40));
    return false;
  }

 private:
  Value* place(Value value) {
    if (open_.empty()) return &(root = std::move(value));
    if (auto* list = std::get_if<List>(&open_.back()->data))
      return &list->emplace_back(std::move(value));
    return &(std::get<Map>(open_.back()->data).back().second = std::move(value));
  }
  bool add(Value value) {
    place(std::move(value));
    return true;
  }
  bool open(Value container) {
    if (open_.size() > static_cast<std::size_t>(max_value_depth)) {
      problem = fmt::format("is nested deeper than {} levels", max_value_depth);
      return false;
    }
    // Stays valid: its parent grows only after it was closed.
    open_.push_back(place(std::move(container)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  std::vector<Value*> open_;
};

}  // namespace

std::string to_json(const Value& value) {
  return to_json(value, 0).dump(-1, ' ', false, replace_invalid);
}

Result<Value> from_json(std::string_view text) {
  ValueBuilder builder;
  if (!nlohmann::json::sax_parse(text, &builder))
    return fail(ErrorCode::invalid_argument, fmt::format("text {}", builder.problem));
  return std::move(builder.root);
}

}  // namespace reprise
