// `reprise top`: runs and tasks on the whole screen, as they change.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <map>
#include <memory>
#include <thread>

#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cli/commands.hpp"
#include "cli/remote.hpp"
#include "cli/signals.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"
#include "cli/top_source.hpp"
#include "cli/top_view.hpp"
#include "cli/top_watch.hpp"

namespace reprise::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto between_frames = std::chrono::milliseconds{250};  // at most four a second
constexpr auto patience = std::chrono::milliseconds{200};  // with a look under way, at the end
constexpr auto between_lines = std::chrono::milliseconds{1000};  // where there is no screen

/// The whole screen, and keys as they are pressed; what was there comes back at the end.
class Screen {
 public:
  Screen() {
    if (::tcgetattr(STDIN_FILENO, &before_) == 0) {
      termios raw = before_;
      raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);  // Ctrl-C and Ctrl-Z stay signals
      raw.c_cc[VMIN] = 0;
      raw.c_cc[VTIME] = 0;
      is_raw_ = ::tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
    }
    put(fmt::format("\x1b[?1049h{}\x1b[2J", hide_cursor));
  }
  ~Screen() {
    put(fmt::format("\x1b[2J\x1b[?1049l{}", show_cursor));
    if (is_raw_) ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  /// false: nobody reads it any more.
  static bool put(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }

 private:
  termios before_{};
  bool is_raw_ = false;
  CursorInsurance insurance_{STDOUT_FILENO};
};

class Top {
 public:
  explicit Top(Console& console) : console_(console) {}

  int run() {
    std::atomic<int> signal{0};
    const SignalWatcher watcher([&signal](int which) { signal = which; });
    TopWatch watch(console_.options());
    auto screen = std::make_unique<Screen>();
    int code = exit_ok;
    while (take_input(watch) && paint(watch)) {
      const int which = signal.exchange(0);
      if (which == 0) continue;
      if (which != SIGTSTP) {
        if (which != SIGINT) code = 128 + which;
        break;
      }
      screen.reset();
      ::raise(SIGSTOP);
      screen = std::make_unique<Screen>();
      shown_.clear();
    }
    screen.reset();
    // Whoever leaves does not wait for a server that does not answer; there is nothing to lose.
    if (!watch.stop(patience)) std::_Exit(code);
    return code;
  }

 private:
  /// Waits a while for keys. false: the person wants to leave, or is gone.
  bool take_input(TopWatch& watch) {
    pollfd entry{STDIN_FILENO, POLLIN, 0};
    const int ready = ::poll(&entry, 1, input_.empty() ? 100 : 20);
    bool is_all = true;
    if (ready > 0) {
      char buffer[256];
      const ssize_t n = ::read(STDIN_FILENO, buffer, sizeof buffer);
      if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) return false;
      if (n > 0) input_.append(buffer, static_cast<std::size_t>(n));
      is_all = false;
    }
    for (const KeyPress& key : take_keys(input_, is_all)) {
      TopView::Wish wish = view_.press(key, *watch.data());
      if (wish.kind == TopView::Wish::Kind::quit) return false;
      if (wish.kind == TopView::Wish::Kind::cancel) {
        view_.say("asking …");
        watch.cancel(std::move(wish));
      }
    }
    watch.look_at({view_.page(), view_.run(), view_.task()});
    return true;
  }

  /// false: nobody sees it any more.
  bool paint(TopWatch& watch) {
    if (auto answer = watch.take_answer()) view_.say(*std::move(answer));
    const auto time = Clock::now();
    if (time < next_frame_) return true;
    const TerminalSize size = terminal_size(STDOUT_FILENO);
    std::vector<std::string> frame =
        view_.render(*watch.data(), now(), size.columns, size.rows, console_.out_style());
    std::string bytes;
    if (size.columns != columns_ || size.rows != rows_) {
      bytes = "\x1b[2J";
      shown_.clear();
      columns_ = size.columns;
      rows_ = size.rows;
    }
    bytes += screen_changes(shown_, frame);
    shown_ = std::move(frame);
    if (bytes.empty()) return true;
    next_frame_ = time + between_frames;
    return Screen::put(bytes);
  }

  Console& console_;
  TopView view_;
  std::string input_;
  std::vector<std::string> shown_;
  std::size_t columns_ = 0, rows_ = 0;
  Clock::time_point next_frame_{};
};

/// Where there is no screen: a line for each run that is under way, when something changed, until
/// none is.
int print_lines(Console& console) {
  TopSource source(console.options());
  std::map<RunId, std::string> told;
  bool told_any = false;
  while (console.is_open()) {
    source.update(TopView::Page::runs, {}, {});
    const TopData& data = source.data();
    if (!data.trouble.empty())
      return console.fail({ErrorCode::unavailable, data.trouble}, exit_unreachable);
    bool any = false;
    for (const TopData::Run& run : data.runs) {
      const bool goes_on = is_under_way(run.state);
      any = any || goes_on;
      if (!goes_on && !told.contains(run.row.id)) continue;
      std::string line = top_line(run, console.out_style());
      if (std::string& last = told[run.row.id]; last != line) {
        console.out(line);
        last = std::move(line);
        told_any = true;
      }
    }
    console.flush();
    if (!any) break;
    std::this_thread::sleep_for(between_lines);
  }
  if (!told_any) console.say("nothing runs; `reprise ps --all` lists finished runs");
  return exit_ok;
}

}  // namespace

int top_command(Console& console) {
  if (console.is_json()) {
    if (!console.options().server.empty()) return ask_server({"ps", "--json"}, console);
    return ps_command({}, console);
  }
  const char* term = std::getenv("TERM");
  const bool has_screen = is_terminal(STDIN_FILENO) && is_terminal(STDOUT_FILENO) &&
                          term != nullptr && std::string_view(term) != "dumb" && *term != '\0';
  return has_screen ? Top(console).run() : print_lines(console);
}

}  // namespace reprise::cli
