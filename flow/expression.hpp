// The expressions of flow files: a small, pure, typed subset of CEL
// (https://github.com/google/cel-spec).
//
//   params.quality >= 20 && !(mode in ['fast', 'none'])
//   fetch[s].outputs['reads.fq']        own element of a mapped task: `s` is the map variable of
//   the task that asks parts.map(p, p.outputs['sum.csv'])  also filter, exists, all
//
// Literals: null true false 12 0x1f 1.5 'text' "text" [1, 2] {'key': 1}. Operators, loosest first:
// ?:  ||  &&
// == != < <= > >= in  + -  * / %  ! -  . []. Functions, also callable as methods of their first
// argument: size contains startsWith endsWith matches string int float json join quote range. A
// task whose name is no identifier is tasks['a name'].
//
// Evaluation cannot loop or recurse without bound: fuel and depth are limited, regular expressions
// run in polynomial time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "core/value.hpp"

namespace reprise::expression {

inline constexpr std::size_t max_length = 16 << 10;  // bytes of one expression
inline constexpr std::uint64_t default_fuel = 4'000'000;

/// What is wrong with bytes [begin, end) of an expression.
struct Problem {
  std::string code;  // "RP1301" …
  std::string message;
  std::size_t begin = 0;
  std::size_t end = 0;
  std::string suggestion;  // in place of the bytes; empty = none
  std::vector<std::string> help;
};

/// One operation of an expression. Operands are indices into Tree::terms().
struct Term {
  enum class Kind : std::uint8_t {
    literal,      // `value`
    name,         // map variable, loop variable or task: `text`
    parameter,    // params.text
    member,       // operand.text
    index,        // operands[0][operands[1]]
    call,         // text(operands…)
    macro,        // operands[0].text(variable, operands[1]) with text = map, filter, exists or all
    negate,       // - operand
    invert,       // ! operand
    binary,       // operands[0] text operands[1]
    conditional,  // operands[0] ? operands[1] : operands[2]
    list,
    map,  // key, value, key, value …
  };
  Kind kind = Kind::literal;
  std::uint32_t begin = 0;  // bytes [begin, end) of the source
  std::uint32_t end = 0;
  std::uint32_t depth = 1;
  std::string text;
  std::string variable;
  Value value;
  std::vector<std::uint32_t> operands;
};

/// What an expression reads.
struct Reads {
  std::vector<std::string> names;  // tasks and the map variable, each once, in order of appearance
  std::vector<std::string> own;    // tasks of which it reads only its own element: fetch[s]
  std::vector<std::string> parameters;
};

class Tree {
 public:
  [[nodiscard]] static tl::expected<Tree, Problem> parse(std::string_view source);
  /// @param map_variable  name of the current element; "" = the expression belongs to no mapped
  /// task
  [[nodiscard]] Reads reads(std::string_view map_variable) const;
  /// Text that parses to the same tree. `rename` may give other text for a term (its index) or
  /// nothing.
  using Rename = std::function<std::optional<std::string>(std::uint32_t term)>;
  [[nodiscard]] std::string print(const Rename& rename = nullptr) const;

  [[nodiscard]] const std::string& source() const { return source_; }
  [[nodiscard]] const std::vector<Term>& terms() const { return terms_; }
  [[nodiscard]] std::uint32_t root() const { return root_; }
  [[nodiscard]] std::string_view source_of(const Term& term) const {
    return std::string_view(source_).substr(term.begin, term.end - term.begin);
  }

 private:
  friend class Parser;
  std::string source_;
  std::vector<Term> terms_;
  std::uint32_t root_ = 0;
};

/// A string literal in single quotes that stands for `text`.
[[nodiscard]] std::string quoted(std::string_view text);
/// Expression text of a value; nothing for values that have none (bytes, files, infinities).
[[nodiscard]] std::optional<std::string> literal_text(const Value& value);
/// A name that can be used as it is: letter or `_`, then letters, digits, `_`; not a word of the
/// language.
[[nodiscard]] bool is_identifier(std::string_view text);
/// The name of a task as an expression refers to it: align or tasks['a name'].
[[nodiscard]] std::string reference_to(std::string_view task);

// ---- before a run: what is certainly wrong ----

/// What is known of a value before the run.
struct Type {
  enum class Kind : std::uint8_t {
    any,
    nil,
    boolean,
    integer,
    number,
    text,
    bytes,
    file,
    list,
    map,
    command
  };
  Kind kind = Kind::any;
  std::shared_ptr<const Type> element;  // of a list; null = anything
  std::shared_ptr<const std::vector<std::string>>
      outputs;  // of a command's result: its output files

  [[nodiscard]] static Type of(Kind kind) {
    return {.kind = kind, .element = nullptr, .outputs = nullptr};
  }
  [[nodiscard]] static Type list_of(Type element);
  /// From the portable grammar of Signature: "i64", "list<str>".
  [[nodiscard]] static Type from_signature(std::string_view type);
  [[nodiscard]] static Type of_value(const Value& value);
  /// "a list of texts"
  [[nodiscard]] std::string describe() const;
};
/// False only when a value of type `from` can never be used as `to`.
[[nodiscard]] bool may_be(const Type& from, const Type& to);

/// The names an expression may use.
struct Declarations {
  std::function<std::optional<Type>(std::string_view)> name;  // a task or the map variable
  std::function<std::optional<Type>(std::string_view)> parameter;
  std::function<std::vector<std::string>()> known_names;  // for suggestions
  std::function<std::vector<std::string>()> known_parameters;
  std::string map_variable;
};

/// Type of the expression; appends what is wrong to `problems`.
[[nodiscard]] Type check(const Tree& tree, const Declarations& declarations,
                         std::vector<Problem>& problems);

// ---- in a run ----

/// Values by name. What is returned stays valid while the scope lives.
class Scope {
 public:
  virtual ~Scope() = default;
  /// An input of the task: the map variable, an upstream task, or "fetch[]", the own element of the
  /// mapped task `fetch`. nullptr: no such name.
  [[nodiscard]] virtual const Value* find(std::string_view name) const = 0;
  /// params.name; nullptr: no such parameter.
  [[nodiscard]] virtual const Value* parameter(std::string_view name) const = 0;
};

/// A scope that owns its values.
class MapScope : public Scope {
 public:
  std::map<std::string, Value, std::less<>> names;
  std::map<std::string, Value, std::less<>> parameters;

  [[nodiscard]] const Value* find(std::string_view name) const override;
  [[nodiscard]] const Value* parameter(std::string_view name) const override;
};

/// The text that stands for a file, for example the path where it was put. The hint is the name
/// under which the file was found, such as 'reads.fq' in fetch.outputs['reads.fq']; it is the
/// user's text and no path.
using FileText = std::function<std::string(const FileValue& file, std::string_view hint)>;

struct Options {
  std::uint64_t fuel = default_fuel;
  FileText file_text;  // empty: a file is written as its digest
};

/// A value and the name under which a file in it was found.
struct Evaluated {
  Value value;
  std::string hint;
};

/// @error invalid_argument: the message names the part that failed; exhausted: out of fuel
[[nodiscard]] Result<Evaluated> evaluate(const Tree& tree, const Scope& scope,
                                         const Options& options = {});

/// `when`: parses and evaluates a condition. @error as evaluate(), and when the value is not true
/// or false
[[nodiscard]] Result<bool> evaluate_condition(std::string_view text, const Scope& scope);

/// How a value looks inside text: text as it is, numbers in decimal, true and false, files by
/// file_text, the elements of a list with spaces between, anything else as JSON; nil is the empty
/// text.
[[nodiscard]] Result<std::string> to_text(const Value& value, std::string_view hint,
                                          const FileText& file_text);

}  // namespace reprise::expression
