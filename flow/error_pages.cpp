#include "flow/error_pages.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace reprise {

std::span<const ErrorPage> error_pages() {
  static constexpr std::array pages{
      ErrorPage{"RP1001", "the file is too large",
                "A flow file may have 8 MiB. Data does not belong into it: give a `file` "
                "parameter, or name an input file."},
      ErrorPage{"RP1002", "the file is not UTF-8",
                "Flow files are UTF-8 text. Save the file in this encoding, without UTF-16."},
      ErrorPage{"RP1003", "a control character in the file",
                "Control characters other than tab and line ends must be written as escapes in a "
                "double-quoted string, such as `\"\\e\"`."},
      ErrorPage{"RP1004", "lists and maps are nested too deeply",
                "At most 64 levels are allowed; a flow file needs about six."},
      ErrorPage{"RP1005", "not valid YAML or JSON",
                "The text does not parse. Usual reasons: wrong indentation, tabs in the "
                "indentation, a bracket or quote that is never "
                "closed, text with `: ` or ` #` in it without quotes."},
      ErrorPage{"RP1006", "a key is there twice",
                "A map has each key once. Rename one of them or merge their values."},
      ErrorPage{"RP1007", "anchors and aliases are not allowed",
                "`&name` and `*name` would let a small file mean a huge one. Write the value where "
                "it is used; what all tasks share "
                "belongs into `defaults`."},
      ErrorPage{"RP1008", "tags are not allowed",
                "`!tag` has no meaning in a flow file. Quote a value to make it text."},
      ErrorPage{"RP1009", "merge keys are not allowed",
                "`<<` is not part of YAML 1.2. What all tasks share belongs into `defaults`."},
      ErrorPage{"RP1010", "more than one document",
                "A flow file is one YAML document, without a second `---`."},
      ErrorPage{"RP1011", "the file is empty",
                "A flow file has at least `version: 1` and `tasks:`."},
      ErrorPage{"RP1012", "a key is not a name",
                "Keys are text: no lists, no maps, not empty. Text that begins with `[` or `{` "
                "needs quotes."},
      ErrorPage{"RP1013", "too many keys and values",
                "At most two million are allowed. Use `map` for many similar tasks."},
      ErrorPage{"RP1101", "unknown key",
                "The key is not part of the format; misspelt keys are never ignored. The message "
                "lists the keys known at this place."},
      ErrorPage{"RP1102", "a required key is missing", "Add it; the message says what it is for."},
      ErrorPage{"RP1103", "a value has the wrong type",
                "Only `true` and `false` are bools; `yes`, `no`, `on`, `off` and numbers with "
                "leading zeros are text. Quotes make "
                "anything text."},
      ErrorPage{"RP1104", "not one of the allowed words", "The message lists the words."},
      ErrorPage{"RP1105", "a number is out of range", "The message says what is allowed."},
      ErrorPage{"RP1106", "not a duration",
                "A duration is whole numbers with the units ms, s, m, h and d, as in `250ms`, "
                "`30s` or `1h30m`."},
      ErrorPage{
          "RP1107", "not a size",
          "A size is a whole number and one of the units B, KiB, MiB, GiB and TiB, as in `4GiB`."},
      ErrorPage{"RP1108", "a value is empty", "Something must stand here, or leave the key out."},
      ErrorPage{"RP1109", "a task needs exactly one of run, shell, call and flow",
                "`run: [program, argument]` runs a program, `shell:` a script, `call: "
                "name@version` a registered function, `flow:` another flow. Two things "
                "to do are two tasks."},
      ErrorPage{"RP1110", "unknown version of the format", "This program reads `version: 1`."},
      ErrorPage{"RP1111", "not a usable name",
                "Parameters and map variables are used in expressions: letters, digits and `_`, "
                "not beginning with a digit. Tasks may have any name of up to 256 bytes."},
      ErrorPage{"RP1112", "an entry is there twice", "The entries of this list must differ."},
      ErrorPage{"RP1114", "two settings do not go together", "The message says which and why."},
      ErrorPage{"RP1115", "a NUL where none can be",
                "Programs get their arguments, scripts and variables as text that a NUL ends. "
                "Data that holds one goes through a file."},
      ErrorPage{"RP1201", "tasks need each other in a circle",
                "None of them could ever start. The message prints the way around and where each "
                "step is written; remove one of them."},
      ErrorPage{"RP1202", "a task needs itself", "A task cannot wait for or read its own result."},
      ErrorPage{"RP1203", "unknown task",
                "No task of this file has this name. Names are compared exactly, upper and lower "
                "case differ."},
      ErrorPage{"RP1204", "unknown function",
                "`call` takes `name@version` of a function that this program or one of its "
                "plugins has registered. Where others may run the flow this is a warning: on a "
                "server the task waits until a worker has the function (`no_worker_for_task`)."},
      ErrorPage{"RP1205", "wrong arguments for a function",
                "The message shows the function's arguments by name and type."},
      ErrorPage{"RP1206", "an argument has the wrong type",
                "The value can never be of the type that the function takes."},
      ErrorPage{"RP1207", "cannot be mapped over",
                "`map.over` takes a list, a mapped task, or `${{ }}` that gives a list."},
      ErrorPage{
          "RP1208", "cannot be reduced",
          "`reduce.over` takes the name of a task whose result is a list, usually a mapped one."},
      ErrorPage{"RP1209", "not a usable output path",
                "An output is one file below the task's working directory: relative, without `..`, "
                "without patterns and `${{ }}`."},
      ErrorPage{"RP1210", "outputs exclude each other",
                "One output is a file where another needs a folder."},
      ErrorPage{"RP1211", "the task has no such output",
                "Only files listed in the task's `outputs` are kept after it ends."},
      ErrorPage{"RP1212", "an input file is not there",
                "Input files, and programs written as `./program`, are looked for in the flow "
                "file's folder."},
      ErrorPage{"RP1213", "no such input",
                "`ignore`, `hash` and `validate_on` of `cache` name inputs of the task; for the "
                "validator partial_parameters, parameters of the flow."},
      ErrorPage{"RP1214", "not a flow that can be run",
                "`flow` names a flow file in the folder of this one, or holds `${{ }}` that gives "
                "the file or text of one. Files must not run each other in a circle."},
      ErrorPage{"RP1215", "wrong parameters for a flow",
                "`params` gives the flow what its `params` declare: all without a default, of the "
                "right type, and no others."},
      ErrorPage{"RP1299", "the flow is not consistent",
                "A mistake that is found late, without a place in the file."},
      ErrorPage{"RP1301", "an expression does not parse",
                "Expressions have literals, `params.name`, task names, `.`, `[ ]`, `! - * / % + < "
                "<= > >= == != in && || ?:`, lists, "
                "maps and functions. A task whose name is no identifier is `tasks['its name']`."},
      ErrorPage{"RP1302", "unknown name in an expression",
                "Known are the parameters as `params.name`, the tasks, and in a mapped task its "
                "map variable."},
      ErrorPage{"RP1303", "types in an expression do not fit",
                "The operation cannot work on these values. `string(x)`, `int(x)` and `float(x)` "
                "convert."},
      ErrorPage{"RP1304", "unknown function in an expression",
                "Known are size, contains, startsWith, endsWith, matches, string, int, float, "
                "json, join, quote, range, and on lists map, filter, exists, all."},
      ErrorPage{"RP1305", "`${{` is not closed",
                "Every `${{` needs its `}}`. `$${{` stands for the text itself."},
      ErrorPage{"RP1306", "not a regular expression",
                "Patterns follow ECMAScript, without back references and with limits on length and "
                "repetition."},
      ErrorPage{"RP1307", "text where a reference was meant",
                "A task's result is `${{ task }}`; the bare name is only text."},
      ErrorPage{
          "RP1308", "a parameter's value does not fit",
          "Default and choices have the parameter's type, and the default is one of the choices."},
      ErrorPage{"RP2001", "the file cannot be read",
                "The message says why: it is not there, it is a directory, or reading it is not "
                "permitted."},
      ErrorPage{
          "RP2002", "gzip data is truncated or damaged",
          "The file was cut short or changed after it was compressed. Fetch or compress it again."},
      ErrorPage{"RP2003", "the file is too large",
                "At most 512 MiB are read, and at most 2 GiB after inflating gzip. A small file "
                "that inflates to more than 100 times its size is refused."},
      ErrorPage{"RP2004", "not a known kind of file",
                "`reprise run` takes flow files, WfFormat traces and standard task graphs, and "
                "recognises them by their content."},
      ErrorPage{"RP2005", "the file is empty", "There is nothing to run in it."},
      ErrorPage{"RP2006", "an option for traces with a flow file",
                "`--mode`, `--scale` and `--touch` say how to run a recorded trace. A flow file "
                "says itself what its tasks do."},
      ErrorPage{"RP2010", "not well-formed JSON",
                "The text does not parse at this place. JSON knows no comments, no trailing commas "
                "and no NaN."},
      ErrorPage{"RP2011", "a key is there twice",
                "An object has each key once. Rename one of them or merge their values."},
      ErrorPage{
          "RP2012", "the JSON is nested too deeply",
          "At most 64 lists and objects within each other are read; a trace needs about seven."},
      ErrorPage{"RP2013", "the JSON is too large", "It has more values than are read."},
      ErrorPage{"RP2101", "a trace is an object",
                "A WfFormat file is one JSON object with `schemaVersion` and `workflow`."},
      ErrorPage{"RP2102", "no usable `schemaVersion`",
                "It is a text, and tells how the rest is to be read."},
      ErrorPage{"RP2103", "an old version of WfFormat",
                "Versions before 1.5 look different. `tools/wfcommons-migrate-instance.py` of the "
                "WfFormat repository converts them."},
      ErrorPage{"RP2104", "an unknown version of WfFormat", "Versions 1.5 and 1.6 are read."},
      ErrorPage{"RP2105", "a value of the trace has the wrong type",
                "The message says which type is needed."},
      ErrorPage{"RP2106", "something required is missing from the trace",
                "WfFormat requires it. The place is that of the object that should have it."},
      ErrorPage{"RP2107", "the trace has no tasks", "There is nothing to run in it."},
      ErrorPage{"RP2108", "two tasks have one id",
                "Everything else in a trace names tasks by id, so ids differ."},
      ErrorPage{"RP2109", "an edge to an unknown task",
                "`parents` and `children` hold ids of tasks of the same trace; a task's `name` is "
                "something else."},
      ErrorPage{"RP2110", "parents and children disagree",
                "Each edge is written down twice, with the child and with the parent. Here one of "
                "the two is missing."},
      ErrorPage{
          "RP2111", "a file that `files` does not list",
          "Every file that a task reads or writes has an entry in `workflow.specification.files`."},
      ErrorPage{"RP2112", "a file with two producers",
                "Which of the two versions a reader got cannot be known."},
      ErrorPage{"RP2113", "a size is negative", "Sizes count bytes, from 0."},
      ErrorPage{"RP2114", "a size is no sensible number of bytes",
                "Sizes are whole numbers up to 2^53."},
      ErrorPage{"RP2115", "a file is listed twice", "`files` lists each file once, by its id."},
      ErrorPage{"RP2116", "an executed task that is not specified",
                "Every task of `workflow.execution` is one of `workflow.specification`, with the "
                "same id."},
      ErrorPage{"RP2117", "a task was executed twice",
                "A trace records one execution of each task."},
      ErrorPage{"RP2118", "a time is negative", "Times are seconds, from 0."},
      ErrorPage{"RP2119", "a time is too long", "More than 300 years are taken for damage."},
      ErrorPage{"RP2120", "tasks wait for each other in a cycle",
                "None of them could ever start. The message prints the way around, each task "
                "before the one that waits for it."},
      ErrorPage{"RP2121", "less than one core", "A task that was executed used at least one."},
      ErrorPage{
          "RP2130", "`--touch` outside of hash mode",
          "It adds a text to what a task's digest is computed from; other modes compute none."},
      ErrorPage{"RP2131", "`--touch` of an unknown task", "Tasks are named by their id."},
      ErrorPage{"RP2132", "the text of `--touch` is not UTF-8", "Results are text."},
      ErrorPage{"RP2133", "`--scale` is not a number from 0",
                "It says how many seconds are slept for each recorded one."},
      ErrorPage{"RP2134", "no times to sleep",
                "The trace has no `workflow.execution`. Hash and noop mode need none."},
      ErrorPage{"RP2135", "no time for one of the tasks",
                "Sleep mode needs a `runtimeInSeconds` for each task."},
      ErrorPage{"RP2136", "a task would sleep for years", "Use a smaller `--scale`."},
      ErrorPage{"RP2198", "the trace gives no consistent flow",
                "A mistake that is found late, without a place in the file."},
      ErrorPage{"RP2199", "more mistakes than are kept", "The first thousand are told."},
      ErrorPage{"RP2201", "no number of tasks",
                "A standard task graph begins with a row that is the number of tasks, without the "
                "two dummies."},
      ErrorPage{"RP2202", "not a number",
                "Rows of a standard task graph hold numbers only; `#` begins a comment."},
      ErrorPage{"RP2203", "a negative number", "Ids and counts begin with 0."},
      ErrorPage{"RP2204", "the task graph is truncated",
                "After the number of tasks n follow n + 2 rows, one for each task and for the two "
                "dummies."},
      ErrorPage{"RP2205", "something follows the last task",
                "There are more rows than the first one says. Only comments may follow."},
      ErrorPage{"RP2206", "a row is truncated",
                "A row holds id, time, number of predecessors, and the predecessors."},
      ErrorPage{"RP2207", "two rows for one task", "Ids differ."},
      ErrorPage{"RP2208", "the wrong number of predecessors",
                "The third number of a row says how many follow it."},
      ErrorPage{"RP2209", "a time is negative", "Times begin with 0."},
      ErrorPage{"RP2210", "a time is too long", "More than 300 years are taken for damage."},
      ErrorPage{"RP2211", "an unknown predecessor",
                "Predecessors are ids of rows of the same file."},
  };
  return pages;
}

const ErrorPage* find_error_page(std::string_view code) {
  const auto pages = error_pages();
  const auto page = std::ranges::find(pages, code, &ErrorPage::code);
  return page == pages.end() ? nullptr : &*page;
}

std::string error_pages_markdown() {
  std::string text =
      "# Error codes of flow files and traces\n\n"
      "Every mistake that `reprise check` reports has one of these codes. `reprise help CODE` "
      "prints its entry.\n"
      "This page is made from `flow/error_pages.cpp`; a test keeps the two equal.\n";
  for (const ErrorPage& page : error_pages())
    text += fmt::format("\n## {}: {}\n\n{}\n", page.code, page.title, page.text);
  return text;
}

}  // namespace reprise
