// Frames and control requests from a peer that may send anything.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cluster/control_socket.hpp"
#include "cluster/frame.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  constexpr std::size_t limit = 4096;
  // The first byte says in what portions the rest arrives.
  const std::size_t portion = data[0] + 1u;
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  reprise::cluster::FrameReader reader(limit);
  bool broken = false;
  while (!rest.empty()) {
    reader.feed(rest.substr(0, portion));
    rest.remove_prefix(std::min(portion, rest.size()));
    for (;;) {
      const auto frame = reader.next();
      if (!frame)
        broken = true;
      else if (broken)
        std::abort();  // a broken stream stays broken
      if (!frame || !*frame) break;
      if ((*frame)->empty() || (*frame)->size() > limit) std::abort();
      const auto request = reprise::cluster::ControlRequest::decode(**frame);
      if (!request) continue;
      const auto again = request->encode();  // fails for an op that is no text
      if (again && !(reprise::cluster::ControlRequest::decode(*again) == request)) std::abort();
    }
  }
  return 0;
}
