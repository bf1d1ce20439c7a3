#include "cli/top_watch.hpp"

#include <algorithm>
#include <utility>

#include "cli/commands.hpp"
#include "cli/text.hpp"
#include "cli/top_source.hpp"

namespace reprise::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto between_looks = std::chrono::milliseconds{500};

/// Cancels, and gives the line that tells what became of it.
std::string carry_out(const TopView::Wish& wish, const GlobalOptions& options) {
  GlobalOptions plain = options;
  plain.color = ColorChoice::never;
  plain.quiet = plain.json = false;
  CancelOptions what;
  what.run = wish.run;
  if (!wish.task.empty()) what.tasks.push_back(wish.task);
  what.reason = "cancelled by a person";
  Console::Captured captured;
  {
    Console console(plain, captured);
    cancel_command(what, console);
  }
  const auto lines = lines_of(captured.err.empty() ? captured.out : captured.err);
  return lines.empty() ? std::string() : lines.front();
}

}  // namespace

TopWatch::TopWatch(const GlobalOptions& options) : options_(options), thread_([this] { loop(); }) {}

TopWatch::~TopWatch() {
  (void)stop(std::chrono::milliseconds{0});
  thread_.join();
}

void TopWatch::look_at(Looked what) {
  const std::lock_guard lock(mutex_);
  if (looked_ == what) return;
  looked_ = std::move(what);
  wants_look_ = true;
  changed_.notify_all();
}

void TopWatch::cancel(TopView::Wish wish) {
  const std::lock_guard lock(mutex_);
  wish_ = std::move(wish);
  changed_.notify_all();
}

std::shared_ptr<const TopData> TopWatch::data() const {
  const std::lock_guard lock(mutex_);
  return data_;
}

std::optional<std::string> TopWatch::take_answer() {
  const std::lock_guard lock(mutex_);
  return std::exchange(answer_, std::nullopt);
}

bool TopWatch::stop(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  ending_ = true;
  changed_.notify_all();
  return changed_.wait_for(lock, patience, [this] { return ended_; });
}

void TopWatch::loop() {
  TopSource source(options_);
  auto next = Clock::now();
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait_until(lock, next, [this] { return ending_ || wants_look_ || wish_; });
    if (ending_) break;
    wants_look_ = false;
    const Looked looked = looked_;
    const auto wish = std::exchange(wish_, std::nullopt);
    lock.unlock();
    std::optional<std::string> answer;
    if (wish) answer = carry_out(*wish, options_);
    const auto begin = Clock::now();
    source.update(looked.page, looked.run, looked.task);
    auto seen = std::make_shared<const TopData>(source.data());
    // A look that takes long, at a large run, is not taken as often.
    next = Clock::now() + std::max<Clock::duration>(between_looks, 4 * (Clock::now() - begin));
    lock.lock();
    if (answer) answer_ = std::move(answer);
    data_ = std::move(seen);
  }
  ended_ = true;
  changed_.notify_all();
}

}  // namespace reprise::cli
