#include <algorithm>
#include <memory>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>
#include <libfyaml.h>

#include "core/text.hpp"
#include "flow/yaml.hpp"

namespace reprise::yaml {

namespace {

std::size_t utf8_length(char lead) {
  const auto c = static_cast<unsigned char>(lead);
  return c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
}

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

}  // namespace

// Builds the tree from libfyaml's events. libfyaml scans only as far as the next event needs and
// neither it nor this class recurses, so nesting costs nothing until max_depth ends it.
class Reader {
 public:
  Reader(Document& document, std::vector<Diagnostic>& diagnostics)
      : document_(document), diagnostics_(diagnostics), text_(document.text_) {}

  void read() {
    if (!check_bytes() || !check_depth()) return;
    fy_diag_cfg diag_config;
    fy_diag_cfg_default(&diag_config);
    diag_config.fp = nullptr;
    diag_config.level = FYET_ERROR;
    diag_config.colorize = false;
    const std::unique_ptr<fy_diag, void (*)(fy_diag*)> diag(fy_diag_create(&diag_config),
                                                            fy_diag_destroy);
    fy_parse_cfg config{};
    // YAML's flow style contains JSON; libfyaml reads JSON's escapes and tabs in YAML mode too.
    config.flags = static_cast<fy_parse_cfg_flags>(FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE);
    config.diag = diag.get();
    if (diag != nullptr) fy_diag_set_collect_errors(diag.get(), true);
    const std::unique_ptr<fy_parser, void (*)(fy_parser*)> parser(fy_parser_create(&config),
                                                                  fy_parser_destroy);
    if (diag == nullptr || parser == nullptr ||
        fy_parser_set_string(parser.get(), text_.data(), text_.size()) != 0) {
      report("RP1005", {}, "cannot start the YAML parser");
      return;
    }
    bool go_on = true;
    while (go_on) {
      fy_event* event = fy_parser_parse(parser.get());
      if (event == nullptr) break;
      go_on = handle(*event);
      fy_parser_event_free(parser.get(), event);
    }
    if (!go_on) {
      document_.root_ = nullptr;
    } else if (fy_parser_get_stream_error(parser.get())) {
      report_syntax_error(*diag);
      document_.root_ = nullptr;
    } else if (document_.root_ == nullptr) {
      report("RP1011", {}, "the file is empty",
             {"a flow file needs at least 'version: 1' and 'tasks:'; 'reprise check "
              "--print-schema' shows all there is"});
    }
  }

 private:
  struct Open {
    Node* node;
    const Node* key = nullptr;  // of a mapping: the key whose value comes next
    bool key_next = true;
    bool drop_value = false;  // the key was refused
    bool quiet = false;       // within a key that was refused
    std::unordered_map<std::string_view, const Node*> seen;
  };

  void report(std::string_view code, SourceSpan span, std::string message,
              std::vector<std::string> help = {}, std::string label = {}) {
    diagnostics_.push_back({.code = std::string(code),
                            .severity = Diagnostic::Severity::error,
                            .message = std::move(message),
                            .span = span,
                            .suggestion = {},
                            .label = std::move(label),
                            .help = std::move(help),
                            .related = {},
                            .pointer = {}});
  }

  /// What can be said without parsing: size, encoding, control characters.
  bool check_bytes() {
    if (text_.size() > max_bytes) {
      report("RP1001", {},
             fmt::format("the file is too large: {} where {} is the limit",
                         describe_bytes(text_.size()), describe_bytes(max_bytes)),
             {"a flow file is written by people; large data belongs into a 'file' parameter or an "
              "input file"});
      return false;
    }
    document_.index_lines();
    if (text_.starts_with("\xff\xfe") || text_.starts_with("\xfe\xff")) {
      report("RP1002", {}, "the file is UTF-16, not UTF-8", {"save it as UTF-8"});
      return false;
    }
    const auto is_control = [](char c) {
      return (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r') ||
             c == 0x7f;
    };
    if (const auto control = std::ranges::find_if(text_, is_control); control != text_.end()) {
      const auto at = static_cast<std::size_t>(control - text_.begin());
      report("RP1003", document_.span(at, at + 1),
             fmt::format("control character 0x{:02x} in the file",
                         static_cast<unsigned char>(*control)),
             {"in a double-quoted string write it as an escape, like \"\\e\" or \"\\x00\""});
      return false;
    }
    if (is_utf8(text_)) return true;
    std::size_t at = 0;
    while (at < text_.size() && is_utf8(text_.substr(at, utf8_length(text_[at]))))
      at += utf8_length(text_[at]);
    report("RP1002", document_.span(at, at + 1),
           fmt::format("byte 0x{:02x} is not valid UTF-8", static_cast<unsigned char>(text_[at])),
           {"save the file as UTF-8"});
    return false;
  }

  /// Brackets within brackets, judged from the text alone. libfyaml looks ahead to the end of a
  /// line to see whether a bracket begins a key, so a line of megabytes of them would be scanned
  /// before the first event could say how deep it is.
  bool check_depth() {
    const std::size_t first = text_.find_first_not_of(" \t\r\n");
    const bool json =
        first != std::string_view::npos && (text_[first] == '{' || text_[first] == '[');
    // Elsewhere a line may be a piece of a script, where brackets need not match.
    const std::size_t limit = json ? max_depth : 16 * max_depth;
    std::size_t depth = 0;
    char quote = 0;
    for (std::size_t i = 0; i < text_.size(); ++i) {
      const char c = text_[i];
      if (c == '\n' && !json) {
        depth = 0;
        quote = 0;
      } else if (quote != 0) {
        if (c == '\\' && quote == '"')
          ++i;
        else if (c == quote)
          quote = 0;
      } else if (c == '"' || c == '\'') {
        quote = c;
      } else if (c == '[' || c == '{') {
        if (++depth > limit) {
          report_depth(i);
          return false;
        }
      } else if ((c == ']' || c == '}') && depth > 0) {
        --depth;
      }
    }
    return true;
  }

  void report_depth(std::size_t at) {
    report("RP1004", document_.span(at, at + 1),
           fmt::format("lists and maps are nested more than {} levels deep", max_depth));
  }

  void report_syntax_error(fy_diag& diag) {
    void* iterator = nullptr;
    const fy_diag_error* error = fy_diag_errors_iterate(&diag, &iterator);
    const std::string said =
        error != nullptr && error->msg != nullptr ? error->msg : "the file cannot be parsed";
    std::size_t at = text_.size();
    if (error != nullptr && error->line > 0 && error->column > 0 &&
        static_cast<std::size_t>(error->line) <= document_.line_starts_.size()) {
      at = document_.line_starts_[static_cast<std::size_t>(error->line) - 1];
      for (int column = 1; column < error->column && at < text_.size() && text_[at] != '\n';
           ++column) {
        at += utf8_length(text_[at]);
      }
      at = std::min(at, text_.size());
    }
    std::size_t last = text_.size();
    while (last > 0 && is_space(text_[last - 1])) --last;
    const bool at_end = at >= last;
    if (at_end) at = last == 0 ? 0 : last - 1;

    std::string message;
    std::vector<std::string> help;
    if (const Open* open = at_end ? open_bracket() : nullptr; open != nullptr) {
      at = open->node->begin;
      message = "a bracket is never closed";
      help = {"every '[' needs a ']' and every '{' a '}'"};
    } else {
      explain(said, at, message, help);
    }
    if (message.starts_with("a quote") && at > 0 && (text_[at - 1] == '"' || text_[at - 1] == '\''))
      --at;
    std::size_t end = at + 1;
    if (message.starts_with("this line")) end = at + key_length(at);
    const std::size_t first = text_.find_first_not_of(" \t\r\n");
    const bool json = first != std::string_view::npos && text_[first] == '{';
    report("RP1005", document_.span(at, end),
           fmt::format("not valid {}: {}", json ? "JSON" : "YAML", message), std::move(help));
    if (const Open* open = open_bracket(); open != nullptr && message == "brackets do not match") {
      diagnostics_.back().related.push_back(
          {document_.span(open->node->begin, open->node->begin + 1), "opened here"});
    }
  }

  [[nodiscard]] const Open* open_bracket() const {
    for (auto open = stack_.rbegin(); open != stack_.rend(); ++open) {
      const std::size_t begin = open->node->begin;
      if (begin < text_.size() && (text_[begin] == '[' || text_[begin] == '{')) return &*open;
    }
    return nullptr;
  }

  /// Up to the ':' or the end of the line.
  [[nodiscard]] std::size_t key_length(std::size_t at) const {
    const std::size_t end = std::min(text_.find_first_of(":\r\n", at), text_.size());
    return std::max<std::size_t>(end - at, 1);
  }

  /// libfyaml's words as what usually is the matter, and its place as the place of that.
  void explain(std::string_view said, std::size_t& at, std::string& message,
               std::vector<std::string>& help) const {
    struct Hint {
      std::string_view part, message, help;
    };
    static constexpr Hint hints[] = {
        {"wrongly indented", "wrong indentation",
         "keys of one map start in the same column; indent with spaces"},
        {"invalid indentation", "wrong indentation",
         "keys of one map start in the same column; indent with spaces"},
        {"tab character", "a tab where only spaces may stand", "YAML is indented with spaces"},
        {"without a closing bracket", "a bracket is never closed",
         "every '[' needs a ']' and every '{' a '}'"},
        {"without closing quote", "a quote is never closed",
         "end the text with the same quote it began with"},
        {"cannot start with '@'", "text cannot start with '@' or '`'", "put the text in quotes"},
        {"cannot start with '`'", "text cannot start with '@' or '`'", "put the text in quotes"},
        {"cannot start with '%'", "text cannot start with '%'", "put the text in quotes"},
        {"mapping values are not allowed", "a ': ' where no key can be",
         "text with ': ' in it needs quotes"},
        {"nested block mapping on the same line", "a ': ' within text",
         "text with ': ' in it needs quotes"},
        {"missing document start", "there is more text behind the end", {}},
        {"missing comma in flow", "a comma is missing, or text needs quotes",
         "text with ',' or quotes in it needs quotes around it within { } and [ ]"},
        {"mismatched flow", "brackets do not match", "every '[' needs a ']' and every '{' a '}'"},
        {"did not find expected key", "this line does not fit the indentation of those around it",
         "keys of one map start in the same column"},
    };
    message = said;
    if (said.find("invalid multiline plain key") != std::string_view::npos) {
      // The text that begins here goes on in the next lines and turns out to be a key there: that
      // line is the odd one.
      message = "this line does not fit the indentation of those around it";
      help = {"keys of one map start in the same column; text with ': ' in it needs quotes"};
      for (std::size_t line = text_.find('\n', at); line != std::string_view::npos;
           line = text_.find('\n', line)) {
        const std::size_t end = std::min(text_.find('\n', ++line), text_.size());
        const std::string_view content = text_.substr(line, end - line);
        const std::size_t colon = content.find(':');
        if (colon == std::string_view::npos) continue;
        const std::size_t first = content.find_first_not_of(" \t");
        at = line + first;
        if (content.substr(0, first).find('\t') != std::string_view::npos) {
          at = line + content.find('\t');
          message = "a tab where only spaces may stand";
          help = {"YAML is indented with spaces"};
        }
        return;
      }
      return;
    }
    for (const Hint& hint : hints) {
      if (said.find(hint.part) == std::string_view::npos) continue;
      message = hint.message;
      if (!hint.help.empty()) help = {std::string(hint.help)};
      return;
    }
  }

  /// False: stop reading.
  bool handle(fy_event& event) {
    switch (event.type) {
      case FYET_DOCUMENT_START:
        if (++documents_ > 1) {
          fy_token* token = event.document_start.document_start;
          const std::size_t at = token != nullptr ? begin_of(token) : text_.size();
          report("RP1010", document_.span(at, at + 3), "more than one document in the file",
                 {"a flow file is one YAML document; put each flow into a file of its own"});
          return false;
        }
        return true;
      case FYET_MAPPING_START:
        refuse(event.mapping_start.anchor, event.mapping_start.tag);
        return open(Node::Kind::mapping, event.mapping_start.mapping_start);
      case FYET_SEQUENCE_START:
        refuse(event.sequence_start.anchor, event.sequence_start.tag);
        return open(Node::Kind::sequence, event.sequence_start.sequence_start);
      case FYET_MAPPING_END:
        close(event.mapping_end.mapping_end);
        return true;
      case FYET_SEQUENCE_END:
        close(event.sequence_end.sequence_end);
        return true;
      case FYET_SCALAR:
        refuse(event.scalar.anchor, event.scalar.tag);
        return scalar(event.scalar.value);
      case FYET_ALIAS:
        return alias(event.alias.anchor);
      case FYET_NONE:
      case FYET_STREAM_START:
      case FYET_STREAM_END:
      case FYET_DOCUMENT_END:
        return true;
    }
    return true;
  }

  static std::size_t begin_of(fy_token* token) {
    const fy_mark* mark = fy_token_start_mark(token);
    return mark != nullptr ? mark->input_pos : 0;
  }
  static std::size_t end_of(fy_token* token) {
    const fy_mark* mark = fy_token_end_mark(token);
    return mark != nullptr ? mark->input_pos : 0;
  }

  void refuse(fy_token* anchor, fy_token* tag) {
    if (anchor != nullptr) {
      const std::size_t begin = begin_of(anchor);
      const std::size_t sign = begin > 0 && text_[begin - 1] == '&' ? 1 : 0;
      report("RP1007", document_.span(begin - sign, end_of(anchor)),
             "anchors are not allowed in a flow file",
             {"write the value where it is used; what all tasks share belongs into 'defaults'"});
    }
    if (tag != nullptr) {
      const std::size_t begin = begin_of(tag);
      report("RP1008", document_.span(begin, std::max(end_of(tag), begin + 1)),
             "tags are not allowed in a flow file",
             {"remove the tag; quote a value to make it text"});
    }
  }

  Node* make(Node::Kind kind, std::size_t begin, std::size_t end) {
    if (document_.nodes_.size() >= max_nodes) {
      report("RP1013", document_.span(begin, begin + 1),
             fmt::format("the file has more than {} keys and values", max_nodes));
      return nullptr;
    }
    Node& node = document_.nodes_.emplace_back();
    node.kind = kind;
    node.begin = static_cast<std::uint32_t>(begin);
    node.end = static_cast<std::uint32_t>(end);
    return &node;
  }

  /// Puts a new node where it belongs.
  void attach(Node* node) {
    if (stack_.empty()) {
      document_.root_ = node;
      return;
    }
    Open& top = stack_.back();
    node->parent = top.node;
    if (top.node->is_sequence()) {
      node->index = static_cast<std::uint32_t>(top.node->items.size());
      top.node->items.push_back(node);
    } else if (top.key_next) {
      take_key(top, node);
      top.key_next = false;
    } else {
      node->key = top.key;
      if (!top.drop_value) top.node->entries.push_back({top.key, node});
      top.key_next = true;
    }
  }

  void take_key(Open& top, Node* key) {
    top.drop_value = true;
    top.key = key;
    const bool was_incomplete = std::exchange(top.node->incomplete, true);
    if (!key->is_scalar()) {
      if (!top.quiet)
        report("RP1012", document_.span(key->begin, key->begin + 1),
               "a list or map cannot be a key", {"text that starts with '[' or '{' needs quotes"});
      return;
    }
    if (key->broken) return;
    if (key->text == "<<" && key->style == Node::Style::plain) {
      report("RP1009", document_.span(*key), "merge keys are not allowed in a flow file",
             {"what all tasks share belongs into 'defaults'"});
      return;
    }
    if (key->text.empty()) {
      report("RP1012", document_.span(key->begin, key->begin + 1), "an empty key");
      return;
    }
    const auto [place, fresh] = top.seen.emplace(key->text, key);
    if (!fresh) {
      report("RP1006", document_.span(*key), fmt::format("key '{}' is there twice", key->text),
             {"rename one of them or merge their values"}, "again here");
      diagnostics_.back().related.push_back({document_.span(*place->second), "first here"});
      diagnostics_.back().pointer = Document::pointer(*key);
      return;
    }
    top.drop_value = false;
    top.node->incomplete = was_incomplete;
  }

  bool open(Node::Kind kind, fy_token* token) {
    const std::size_t begin = token != nullptr ? begin_of(token) : text_.size();
    if (stack_.size() >= max_depth) {
      report_depth(begin);
      return false;
    }
    Node* node = make(kind, begin, begin);
    if (node == nullptr) return false;
    const bool is_key =
        !stack_.empty() && stack_.back().node->is_mapping() && stack_.back().key_next;
    const bool quiet = is_key || (!stack_.empty() && stack_.back().quiet);
    attach(node);
    stack_.push_back({.node = node,
                      .key = nullptr,
                      .key_next = true,
                      .drop_value = false,
                      .quiet = quiet,
                      .seen = {}});
    return true;
  }

  void close(fy_token* token) {
    if (stack_.empty()) return;
    Node& node = *stack_.back().node;
    const char bracket = node.begin < text_.size() ? text_[node.begin] : ' ';
    if ((bracket == '[' || bracket == '{') && token != nullptr) {
      node.end = static_cast<std::uint32_t>(end_of(token));
    } else {
      if (!node.items.empty()) node.end = std::max(node.end, node.items.back()->end);
      if (!node.entries.empty()) node.end = std::max(node.end, node.entries.back().value->end);
    }
    stack_.pop_back();
  }

  bool scalar(fy_token* token) {
    std::size_t begin = 0;
    std::size_t end = 0;
    if (token != nullptr && fy_token_start_mark(token) != nullptr) {
      begin = begin_of(token);
      end = end_of(token);
    } else {  // nothing stands there: the place behind what came last
      begin = end = place_of_nothing();
    }
    Node* node = make(Node::Kind::scalar, begin, end);
    if (node == nullptr) return false;
    if (token != nullptr) {
      node->style = style_of(fy_token_scalar_style(token));
      node->text = text_of(token, *node);
    }
    attach(node);
    return true;
  }

  /// YAML 1.2, 7.3.2: '' is a quote; blanks around a line end go, one line end is a space, n more
  /// are n line ends.
  static std::string single_quoted(std::string_view source) {
    std::string text;
    std::size_t i = 0;
    while (i < source.size()) {
      const std::size_t next = source.find_first_not_of(" \t", i);
      if (next != std::string_view::npos && source[next] != '\n' && source[next] != '\r') {
        text += source.substr(i, next - i + 1);
        i = source[next] == '\'' ? next + 2 : next + 1;
        continue;
      }
      if (next == std::string_view::npos) return text += source.substr(i);
      std::size_t breaks = 0;
      for (i = next; i < source.size() && is_space(source[i]); ++i) {
        if (source[i] == '\n' ||
            (source[i] == '\r' && (i + 1 == source.size() || source[i + 1] != '\n')))
          ++breaks;
      }
      text += breaks == 1 ? std::string(" ") : std::string(breaks - 1, '\n');
    }
    return text;
  }

  /// The text of a scalar, around two mistakes of libfyaml 0.7.12.
  [[nodiscard]] std::string text_of(fy_token* token, const Node& node) const {
    // A block scalar without a line, at the end of the file, comes with a byte that is not in the
    // file.
    const bool is_block = node.style == Node::Style::literal || node.style == Node::Style::folded;
    if (is_block && node.begin == node.end) return {};
    // Many quotes within single quotes leak memory.
    if (node.style == Node::Style::single_quoted)
      return single_quoted(text_.substr(node.begin, node.end - node.begin));
    std::size_t length = 0;
    const char* text = fy_token_get_text(token, &length);
    return text != nullptr ? std::string(text, length) : std::string();
  }

  bool alias(fy_token* token) {
    const std::size_t begin = token != nullptr ? begin_of(token) : 0;
    const std::size_t sign = begin > 0 && text_[begin - 1] == '*' ? 1 : 0;
    const std::size_t end = token != nullptr ? end_of(token) : 0;
    report("RP1007", document_.span(begin - sign, end), "aliases are not allowed in a flow file",
           {"write the value where it is used; what all tasks share belongs into 'defaults'"});
    Node* node = make(Node::Kind::scalar, begin - sign, end);
    if (node == nullptr) return false;
    node->broken = true;
    attach(node);
    return true;
  }

  [[nodiscard]] std::size_t place_of_nothing() const {
    if (stack_.empty()) return 0;
    const Open& top = stack_.back();
    if (top.node->is_mapping() && !top.key_next && top.key != nullptr) return top.key->end;
    return top.node->end;
  }

  static Node::Style style_of(fy_scalar_style style) {
    switch (style) {
      case FYSS_SINGLE_QUOTED:
        return Node::Style::single_quoted;
      case FYSS_DOUBLE_QUOTED:
        return Node::Style::double_quoted;
      case FYSS_LITERAL:
        return Node::Style::literal;
      case FYSS_FOLDED:
        return Node::Style::folded;
      case FYSS_ANY:
      case FYSS_PLAIN:
      case FYSS_MAX:
        return Node::Style::plain;
    }
    return Node::Style::plain;
  }

  Document& document_;
  std::vector<Diagnostic>& diagnostics_;
  std::string_view text_;
  std::vector<Open> stack_;
  int documents_ = 0;
};

Document Document::parse(std::string_view text, std::vector<Diagnostic>& diagnostics) {
  Document document;
  document.text_ = text;
  Reader(document, diagnostics).read();
  return document;
}

}  // namespace reprise::yaml
