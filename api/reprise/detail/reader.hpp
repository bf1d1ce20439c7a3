// Reads msgpack bytes, ours or foreign, with limits that follow from their size.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <vector>

#include <msgpack.hpp>

namespace reprise::codec {

/// Bytes that are not what they should be. Never leaves this library.
struct decode_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Holds what the objects that it gives out point to. Every function throws decode_error.
class reader {
 public:
  reader() = default;
  reader(const reader&) = delete;
  reader& operator=(const reader&) = delete;

  /// The one value in `bytes`, which must outlive the reader.
  [[nodiscard]] msgpack::object parse(std::string_view bytes);

  /// `value` is a list, or a tuple, set or record of this extension code: its items, as an object
  /// of type ARRAY.
  [[nodiscard]] msgpack::object items(const msgpack::object& value, std::int8_t code);

  /// `value` with every tuple, set and record in it replaced by a list of their items: what
  /// msgpack's own adaptors expect.
  [[nodiscard]] msgpack::object plain(msgpack::object value);

 private:
  void flatten(msgpack::object& value, int level);

  std::unique_ptr<msgpack::zone> zone_;
  std::vector<std::string_view>
      open_;  // payloads around the one parsed last, to bound how deep they lie in each other
};

}  // namespace reprise::codec
