// Files of conformance cases: what a flow looks like, what its tasks do, and what must come out.
// The format is JSON, a list of cases; a part of one that cannot be understood fails that case.
#pragma once

#include <filesystem>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "reprise/error.hpp"

namespace reprise::conformance {

using Json = nlohmann::json;

/// A case says something that this runner does not know or that makes no sense.
class bad_case : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The cases of a file, each an object with a text `id`.
/// @error io: it cannot be read; corrupt: it is no list of cases
[[nodiscard]] expected<std::vector<Json>> read_cases(const std::filesystem::path& path);

/// Member `name`, or an empty object or list.
/// @throws bad_case: it is of another kind
[[nodiscard]] const Json& object_in(const Json& parent, const char* name);
[[nodiscard]] const Json& list_in(const Json& parent, const char* name);
/// @throws bad_case: it is missing or no text, or no number
[[nodiscard]] std::string text_in(const Json& parent, const char* name);
[[nodiscard]] double number_in(const Json& parent, const char* name);
[[nodiscard]] double number_in(const Json& parent, const char* name, double otherwise);
[[nodiscard]] bool flag_in(const Json& parent, const char* name, bool otherwise);

/// Whoever writes a case relies on every word of it: one that is not known is a mistake.
using Words = std::initializer_list<std::string_view>;
[[nodiscard]] bool is_one_of(Words words, std::string_view word);
/// @param whose  as the message calls the object: "an input"
/// @throws bad_case: `object` is none, or has a member that is not one of `known`
void check_members(const Json& object, const std::string& whose, Words known);

/// The runs of a case in their order, each with its options and expectations: those before, then
/// the one that the case itself describes. `where` is put before the names of its members.
struct CaseRun {
  const Json* members = nullptr;
  std::string where;
};
/// @throws bad_case: a member of the case or of one of its runs is not known, or something is
/// expected of a task that there is not
[[nodiscard]] std::vector<CaseRun> runs_of(const Json& test_case);

/// What only describes a case, of either kind. @throws bad_case: it needs what there is not
void check_requirements(const Json& test_case);

}  // namespace reprise::conformance
