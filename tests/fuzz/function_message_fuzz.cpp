// Bytes from a process in which user code ran, and from the one that started it: decoded or
// refused, whichever of the messages they claim to be.
#include <cstdint>
#include <memory>
#include <string_view>

#include "worker/function_message.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace reprise;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::shared_ptr<const RunContext> run;
  worker::ReceivedCall call;
  switch (data[0] % 3) {
    case 0:
      static_cast<void>(worker::decode_known(bytes));
      break;
    case 1:
      static_cast<void>(worker::decode_answer(bytes, Time{}));
      break;
    default:
      static_cast<void>(worker::decode_call(bytes, run, call));
      break;
  }
  return 0;
}
