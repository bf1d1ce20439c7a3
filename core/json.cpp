// Values as JSON, which knows fewer types: lossy on the way out, plain on the way in.
#include <algorithm>
#include <iterator>
#include <optional>

#include <fmt/format.h>
#include <openssl/evp.h>
#include <nlohmann/json.hpp>

#include "core/canon.hpp"
#include "core/text.hpp"
#include "core/value.hpp"

namespace reprise {
namespace {

constexpr int max_json_depth = 2 * max_value_depth;

std::string base64(std::string_view bytes) {
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

/// JSON of what has no parts. Invalid UTF-8 is replaced.
template <class Scalar>
std::string dump(const Scalar& scalar) {
  return nlohmann::json(scalar).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// Neither JSON's escapes nor anything but ASCII.
bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; });
}

/// Writes values straight into a text: values that become JSON are many and small, and building a
/// document of each first took most of the time.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  void write(const Value& value, int level) {
    if (level > max_json_depth) return write_text("…");
    std::visit([&](const auto& each) { write_one(each, level); }, value.data);
  }

 private:
  void write_text(std::string_view text) {
    if (!is_plain(text)) {
      out_ += dump(text);
      return;
    }
    out_ += '"';
    out_ += text;
    out_ += '"';
  }
  void write_key(std::string_view name, bool is_first = false) {
    if (!is_first) out_ += ',';
    write_text(name);
    out_ += ':';
  }

  void write_one(std::monostate, int) { out_ += "null"; }
  void write_one(bool value, int) { out_ += value ? "true" : "false"; }
  void write_one(std::int64_t value, int) { fmt::format_to(std::back_inserter(out_), "{}", value); }
  void write_one(std::uint64_t value, int) {
    fmt::format_to(std::back_inserter(out_), "{}", value);
  }
  void write_one(double value, int) { out_ += dump(value); }
  void write_one(const std::string& value, int) { write_text(value); }
  void write_one(const Bytes& value, int) {
    out_ += '{';
    write_key("$bytes", true);
    write_text(base64(value.data));
    out_ += '}';
  }
  void write_one(const List& list, int level) {
    out_ += '[';
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (i > 0) out_ += ',';
      write(list[i], level + 1);
    }
    out_ += ']';
  }
  void write_one(const Map& map, int level) {
    const auto names = key_texts(map);
    if (!names) return write_pairs(map, level);
    out_ += '{';
    for (std::size_t i = 0; i < map.size(); ++i) {
      write_key((*names)[i], i == 0);
      write(map[i].second, level + 1);
    }
    out_ += '}';
  }
  void write_pairs(const Map& map, int level) {
    out_ += '{';
    write_key("$map", true);
    out_ += '[';
    for (std::size_t i = 0; i < map.size(); ++i) {
      out_ += i > 0 ? ",[" : "[";
      write(map[i].first, level + 1);
      out_ += ',';
      write(map[i].second, level + 1);
      out_ += ']';
    }
    out_ += "]}";
  }
  void write_one(const Ext& extension, int level) {
    const Value value(extension);
    if (auto file = as_file(value)) return write_file(*file);
    if (auto time = as_timestamp(value)) return write_text(to_rfc3339(*time));
    if (extension.code == ext::record) {
      auto record = decode(extension.payload);
      const List* parts = record ? record->get_if<List>() : nullptr;
      if (parts && parts->size() == 3) return write((*parts)[2], level + 1);
    }
    if (auto elements = elements_of(value)) return write_one(*elements, level);
    out_ += '{';
    write_key("$ext", true);
    write_one(std::int64_t{extension.code}, level);
    write_key("$bytes");
    write_text(base64(extension.payload));
    out_ += '}';
  }
  void write_file(const FileValue& file) {
    out_ += '{';
    write_key("$file", true);
    write_text(file.content.text());
    write_key("size");
    write_one(std::uint64_t{file.size}, 0);
    if (file.executable) {
      write_key("executable");
      write_one(true, 0);
    }
    out_ += '}';
  }

  /// A key as JSON needs it, if it has such a form. Lists and maps have none: writing one inside of
  /// another's text would double its quotes' backslashes at every level.
  static std::optional<std::string> key_text(const Value& key) {
    if (const auto* text = key.get_if<std::string>())
      return is_utf8(*text) ? *text : escape_for_terminal(*text);
    if (key.get_if<Bytes>() || key.get_if<List>() || key.get_if<Map>() || key.get_if<Ext>())
      return std::nullopt;
    return to_json(key);
  }

  /// The entries' names; nothing when one has none or two are the same, such as 1 and "1".
  static std::optional<std::vector<std::string>> key_texts(const Map& map) {
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

  std::string& out_;
};

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
  std::string text;
  Writer(text).write(value, 0);
  return text;
}

Result<Value> from_json(std::string_view text) {
  ValueBuilder builder;
  if (!nlohmann::json::sax_parse(text, &builder))
    return fail(ErrorCode::invalid_argument, fmt::format("text {}", builder.problem));
  return std::move(builder.root);
}

}  // namespace reprise
