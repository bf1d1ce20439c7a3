// Completion in shells: small scripts that ask this program what may come next.
//
// `reprise __complete -- WORDS…` takes the words so far, the last one being typed, and prints one
// candidate a line: the word, a tab, and what it is. A line ":files" or ":folders" means that names
// of those may follow, too. It says nothing about mistakes and always succeeds.
#include <algorithm>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "cli/command_tree.hpp"
#include "cli/commands.hpp"
#include "cli/data_access.hpp"
#include "cli/run_selector.hpp"
#include "cli/text.hpp"

namespace reprise::cli {
namespace {

constexpr std::uint32_t runs_offered_max = 50;
constexpr std::size_t tasks_offered_max = 1000;
constexpr std::uint32_t entries_offered_max = 200;

// The words are taken from the line as typed, because bash takes "last:align" and "--data=x" apart.
constexpr const char* bash_script =
    R"sh(# reprise completion for bash: eval "$(reprise completion bash)"
_reprise() {
  local line=${COMP_LINE:0:COMP_POINT} words=() found=() candidate quoted
  # Without -r, so that "\ " stays within a word.
  # shellcheck disable=SC2162
  IFS=$' \t' read -a words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  local program=${words[0]/#\~\//$HOME/} current=${words[${#words[@]}-1]}
  mapfile -t found < <("$program" __complete -- "${words[@]:1}" 2>/dev/null)
  # Bash replaces only what follows the last ":" or "=".
  local fixed=${current%"${current##*[:=]}"}
  COMPREPLY=()
  for candidate in "${found[@]}"; do
    case $candidate in
      :files) compopt -o filenames; mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "${current#"$fixed"}") ;;
      :folders) compopt -o filenames; mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "${current#"$fixed"}") ;;
      *)
        candidate=${candidate%%$'\t'*}
        [[ $candidate == *= ]] && compopt -o nospace
        printf -v quoted %q "${candidate#"$fixed"}"
        COMPREPLY+=("$quoted")
        ;;
    esac
  done
}
complete -F _reprise reprise
)sh";

constexpr const char* zsh_script = R"sh(#compdef reprise
# reprise completion for zsh: eval "$(reprise completion zsh)", or a file "_reprise" in $fpath
_reprise() {
  local line word
  local -a values shown
  for line in "${(@f)$("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    case $line in
      '') ;;
      :files) _files ;;
      :folders) _files -/ ;;
      *)
        word=${line%%$'\t'*}
        values+=("$word")
        shown+=("${line/$'\t'/  -- }")
        ;;
    esac
  done
  (( ${#values} )) && compadd -l -d shown -a values
}
if [[ ${funcstack[1]} == _reprise ]]; then _reprise "$@"; else compdef _reprise reprise; fi
)sh";

constexpr const char* fish_script =
    R"sh(# reprise completion for fish: reprise completion fish | source
function __reprise_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for line in ($words[1] __complete -- $words[2..-1] $current 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path $current
            case :folders
                __fish_complete_directories $current
            case '*'
                echo $line
        end
    end
end
complete -c reprise -f -a '(__reprise_complete)'
)sh";

class Completer {
 public:
  Completer(const std::vector<std::string>& words, Console& console)
      : console_(console), app_(make_app(line_)), command_(app_.get()) {
    if (words.empty()) return;
    for (std::size_t i = 0; i + 1 < words.size(); ++i) take(words[i]);
    current_ = words.back();
  }

  void offer() {
    if (awaiting_ != nullptr) return offer_values(*awaiting_, awaiting_->get_type_name(), "");
    if (!only_arguments_ && current_.starts_with('-')) return offer_flags();
    for (const CLI::App* each : commands_of(*command_))
      print(each->get_name(), each->get_description());
    if (const CLI::Option* argument = next_argument())
      offer_values(*argument, argument->get_name(true), "");
  }

 private:
  /// A word before the one that is typed.
  void take(const std::string& word) {
    if (awaiting_ != nullptr) {
      awaiting_ = nullptr;
      return;
    }
    if (word == "--") {
      only_arguments_ = true;
      return;
    }
    if (!only_arguments_ && word.size() > 1 && word.starts_with('-')) {
      const CLI::Option* flag = find_flag(word);
      if (flag != nullptr && flag->get_items_expected_max() > 0) awaiting_ = flag;
      return;
    }
    for (const CLI::App* each : commands_of(*command_)) {
      if (!arguments_.empty() || each->get_name() != word) continue;
      command_ = each;
      return;
    }
    arguments_.push_back(word);
  }

  /// The flag itself; with "=" in the word its value is there already.
  [[nodiscard]] const CLI::Option* find_flag(const std::string& word) const {
    for (const CLI::App* app = command_; app != nullptr; app = app->get_parent())
      for (const CLI::Option* option : app->get_options())
        if (!option->get_positional() && option->check_name(word)) return option;
    return nullptr;
  }

  [[nodiscard]] const CLI::Option* next_argument() const {
    std::size_t place = 0;
    for (const CLI::Option* option : command_->get_options()) {
      if (!option->get_positional()) continue;
      const bool takes_many = option->get_items_expected_max() > 1;
      if (takes_many || place == arguments_.size()) return option;
      ++place;
    }
    return nullptr;
  }

  void offer_flags() {
    if (const std::size_t sign = current_.find('='); sign != std::string::npos) {
      const CLI::Option* flag = find_flag(current_.substr(0, sign));
      if (flag != nullptr) offer_values(*flag, flag->get_type_name(), current_.substr(0, sign + 1));
      return;
    }
    for (const CLI::App* app = command_; app != nullptr; app = app->get_parent())
      for (const CLI::Option* option : app->get_options())
        for (const std::string& name : option->get_lnames())
          if (app == command_ || name != "help") print("--" + name, option->get_description());
  }

  void offer_values(const CLI::Option& option, const std::string& type, const std::string& before) {
    const bool is_flow_file =
        type == "FLOW" && (command_->get_name() == "run" || command_->get_name() == "plan" ||
                           command_->get_name() == "check");
    if (is_flow_file || type == "FILE")
      console_.out(":files");
    else if (type == "DIR")
      console_.out(":folders");
    else if (type == "RUN")
      offer_runs();
    else if (type == "TASK")
      offer_tasks(before);
    else if (type == "FLOW" || option.check_name("--flow"))
      offer_flows(before);
    else if (type == "KEY")
      offer_entries();
    else if (type == "SHELL" || type.find('|') != std::string::npos)
      offer_words(option.get_type_name(), before);
  }

  /// A closed set of words is shown as "one|two".
  void offer_words(std::string_view words, const std::string& before) {
    while (!words.empty()) {
      const std::size_t bar = words.find('|');
      const std::string_view word = words.substr(0, bar);
      if (std::ranges::none_of(word, [](char c) { return c >= 'A' && c <= 'Z'; }))
        print(before + std::string(word), "");
      if (bar == std::string_view::npos) break;
      words.remove_prefix(bar + 1);
    }
  }

  [[nodiscard]] std::vector<journal::RunRow> recent_runs() {
    const auto reading = open_for_reading(console_.options());
    if (!reading) return {};
    journal::RunQuery query;
    query.limit = runs_offered_max;
    return reading->journal->runs(query).value_or(std::vector<journal::RunRow>{});
  }

  void offer_runs() {
    print("last", "the newest run");
    std::set<std::string> flows;
    for (const journal::RunRow& row : recent_runs()) {
      print(row.id.short_text(), fmt::format("{} {}", row.flow_name, name(row.state)));
      if (flows.insert(row.flow_name).second) print("last:" + row.flow_name, "");
    }
  }

  void offer_flows(const std::string& before) {
    std::set<std::string> flows;
    for (const journal::RunRow& row : recent_runs())
      if (flows.insert(row.flow_name).second) print(before + row.flow_name, "");
  }

  /// Tasks of the run that was named, or of the newest one of the flow that was named.
  void offer_tasks(const std::string& before) {
    const auto reading = open_for_reading(console_.options());
    if (!reading) return;
    std::string run = arguments_.empty() ? "last" : arguments_.front();
    if (command_->get_name() == "history" && !arguments_.empty()) run = "last:" + run;
    const auto row = find_run(run, *reading->journal);
    if (!row) return;
    const auto view = journal::load_run(*reading->journal, *row);
    if (!view) return;
    std::size_t offered = 0;
    for (std::uint32_t t = 0; t < view->size() && offered < tasks_offered_max; ++t)
      offered += print(before + view->task_name(TaskId{t}),
                       name(shown_state(view->state(TaskId{t}), view->cache(TaskId{t})).state));
  }

  void offer_entries() {
    const auto store = open_cache(console_.options());
    if (!store) return;
    cache::Listing listing;
    listing.limit = entries_offered_max;
    const auto records = (*store)->list(listing);
    if (!records) return;
    for (const cache::Record& record : *records)
      print(record.key.text().substr(0, 15), record.task);
  }

  /// What does not begin as typed, or could not be typed, is left out.
  bool print(const std::string& word, std::string_view what) {
    if (!word.starts_with(current_) || escape_for_terminal(word) != word || word.starts_with(':'))
      return false;
    std::string about = escape_for_terminal(what);
    console_.out(about.empty() ? word : word + "\t" + about);
    return true;
  }

  Console& console_;
  CommandLine line_;
  std::unique_ptr<CLI::App> app_;
  const CLI::App* command_;
  std::vector<std::string> arguments_;     // of the command, so far
  const CLI::Option* awaiting_ = nullptr;  // the flag whose value is typed
  bool only_arguments_ = false;            // "--" was typed
  std::string current_;
};

}  // namespace

int completion_command(const std::string& shell, Console& console) {
  const char* script = shell == "bash" ? bash_script : shell == "zsh" ? zsh_script : fish_script;
  if (console.is_json())
    return console.document(
        {{"schema", "reprise.completion/1"}, {"shell", shell}, {"script", script}});
  console.raw(script);
  return exit_ok;
}

int complete_command(const std::vector<std::string>& words, Console& console) {
  Completer(words, console).offer();
  return exit_ok;
}

}  // namespace reprise::cli
