// Looks for what `reprise top` shows, and carries out what it asks for, beside the screen: a server
// that does not answer holds up no key.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "cli/options.hpp"
#include "cli/top_view.hpp"

namespace reprise::cli {

class TopWatch {
 public:
  explicit TopWatch(const GlobalOptions& options);
  /// Waits for the look that is under way.
  ~TopWatch();
  TopWatch(const TopWatch&) = delete;
  TopWatch& operator=(const TopWatch&) = delete;

  /// What is on the screen from now on.
  struct Looked {
    TopView::Page page = TopView::Page::runs;
    std::optional<RunId> run;
    std::optional<TaskId> task;
    bool operator==(const Looked&) const = default;
  };
  void look_at(Looked what);
  void cancel(TopView::Wish wish);

  /// As it was last seen; never null.
  [[nodiscard]] std::shared_ptr<const TopData> data() const;
  /// What became of a wish; once.
  [[nodiscard]] std::optional<std::string> take_answer();

  /// No more looks. false: one is still under way after this time.
  [[nodiscard]] bool stop(std::chrono::milliseconds patience);

 private:
  void loop();

  const GlobalOptions& options_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  Looked looked_;
  std::optional<TopView::Wish> wish_;
  std::optional<std::string> answer_;
  std::shared_ptr<const TopData> data_ = std::make_shared<const TopData>();
  bool wants_look_ = true;
  bool ending_ = false;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace reprise::cli
