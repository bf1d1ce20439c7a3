// Signals of a program that must put things in order before it goes: one thread waits for them, no
// handler interrupts anything.
#pragma once

#include <functional>
#include <thread>

namespace reprise::cli {

/// SIGPIPE is ignored from here on: a closed pipe is an error of write(), told from a crash. Called
/// first in main.
void ignore_broken_pipes();

class SignalWatcher {
 public:
  /// Called in the watcher's thread with SIGINT, SIGTERM, SIGHUP or SIGTSTP. A stop has to be
  /// carried out by the handler.
  using Handler = std::function<void(int signal)>;

  /// Blocks these signals for this thread and all it starts later: to be made before any other
  /// thread.
  explicit SignalWatcher(Handler handler);
  /// The signals do again what they do by default; those that came meanwhile are forgotten.
  ~SignalWatcher();
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

 private:
  void loop();

  Handler handler_;
  int signals_ = -1;
  int stop_ = -1;
  std::thread thread_;
};

}  // namespace reprise::cli
