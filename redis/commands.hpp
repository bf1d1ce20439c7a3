// Commands to send together, in the wire format.
#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace reprise::redis {

/// Arguments are bytes of any kind; they are copied at once.
class Commands {
 public:
  template <class... Arguments>
  Commands& add(const Arguments&... arguments) {
    begin(sizeof...(arguments));
    (argument(arguments), ...);
    return *this;
  }
  /// A command given piece by piece: `count` calls of argument() must follow.
  void begin(std::size_t count) {
    header('*', count);
    ++count_;
  }
  void argument(std::string_view bytes) {
    header('$', bytes.size());
    wire_.append(bytes);
    wire_.append("\r\n", 2);
  }
  template <std::integral Number>
  void argument(Number number) {
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    argument(std::string_view(digits, static_cast<std::size_t>(end - digits)));
  }

  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] std::string_view wire() const { return wire_; }

 private:
  void header(char kind, std::size_t number) {
    char text[24];
    text[0] = kind;
    char* end = std::to_chars(text + 1, text + sizeof text - 2, number).ptr;
    *end++ = '\r';
    *end++ = '\n';
    wire_.append(text, static_cast<std::size_t>(end - text));
  }

  std::string wire_;
  std::size_t count_ = 0;
};

}  // namespace reprise::redis
