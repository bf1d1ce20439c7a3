// Names of the elements of a mapped task, one after the other in one text: there may be a million.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace reprise::scheduler {

class ElementLabels {
 public:
  ElementLabels() = default;
  explicit ElementLabels(const std::vector<std::string>& labels) {
    ends_.reserve(labels.size());
    for (const std::string& label : labels) push_back(label);
  }

  void push_back(std::string_view label) {
    text_ += label;
    ends_.push_back(static_cast<std::uint32_t>(text_.size()));
  }
  void shrink_to_fit() {
    text_.shrink_to_fit();
    ends_.shrink_to_fit();
  }

  [[nodiscard]] std::size_t size() const { return ends_.size(); }
  [[nodiscard]] bool empty() const { return ends_.empty(); }
  [[nodiscard]] std::string_view operator[](std::size_t index) const {
    const std::uint32_t begin = index == 0 ? 0 : ends_[index - 1];
    return std::string_view(text_).substr(begin, ends_[index] - begin);
  }
  /// The first `count`.
  [[nodiscard]] std::vector<std::string> texts(std::size_t count) const {
    std::vector<std::string> all;
    all.reserve(count);
    for (std::size_t i = 0; i < count; ++i) all.emplace_back((*this)[i]);
    return all;
  }

 private:
  std::string text_;
  std::vector<std::uint32_t> ends_;  // by element, into text_
};

}  // namespace reprise::scheduler
