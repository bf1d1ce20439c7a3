// A long sequence of which most elements are not there yet: until one of a page's elements is
// written to, the page costs a pointer.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

namespace reprise {

template <class T, std::size_t page_size = 64>
class PagedArray {
 public:
  /// Makes room for `size` elements; never for fewer than before.
  void grow(std::size_t size) {
    if (const std::size_t pages = (size + page_size - 1) / page_size; pages > pages_.size())
      pages_.resize(pages);
  }
  /// An element that was never written to equals T{}.
  [[nodiscard]] const T& operator[](std::size_t index) const {
    const auto& page = pages_[index / page_size];
    return page ? (*page)[index % page_size] : absent_;
  }
  [[nodiscard]] T& writable(std::size_t index) {
    auto& page = pages_[index / page_size];
    if (!page) page = std::make_unique<Page>();
    return (*page)[index % page_size];
  }

 private:
  using Page = std::array<T, page_size>;
  std::vector<std::unique_ptr<Page>> pages_;
  T absent_{};
};

}  // namespace reprise
