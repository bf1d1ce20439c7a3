// Messages as links bring them: any bytes decode to a message that encodes to what decodes to the
// same again, or to an error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <tuple>

#include "cluster/wire.hpp"

using namespace reprise;
namespace wire = reprise::cluster::wire;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

template <class Message>
void try_message(std::string_view bytes) {
  Message message;
  if (!wire::decode(bytes, message)) return;
  const std::string once = wire::encode(message);
  Message again;
  require(wire::decode(once, again).has_value());
  require(wire::encode(again) == once);
}

template <class... Messages>
void try_all(std::string_view bytes, std::size_t which, std::tuple<Messages...>*) {
  std::size_t i = 0;
  ((i++ == which ? try_message<Messages>(bytes) : void()), ...);
}

using Messages =
    std::tuple<wire::Submit, wire::Submitted, wire::Steer, wire::Watch, wire::Query, wire::Answer,
               wire::Changes, wire::RunEnded, wire::Welcome, wire::WorkerHello, wire::Credits,
               wire::Began, wire::Reports, wire::Refused, wire::Draining, wire::Context,
               wire::Attempts, wire::Drain, wire::ForgetRun, wire::Ping, wire::BlobRequest,
               wire::BlobChunk>;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t which = data[0] % (std::tuple_size_v<Messages> + 1);
  if (which < std::tuple_size_v<Messages>) {
    try_all(bytes, which, static_cast<Messages*>(nullptr));
    return 0;
  }
  static const auto context = [] {
    auto flow = std::make_shared<FlowSpec>();
    flow->names = {"x"};
    flow->kinds.resize(1);
    flow->nodes.resize(2);
    auto made = std::make_shared<RunContext>();
    made->flow = std::move(flow);
    return made;
  }();
  const auto contexts = [](std::uint32_t run) -> std::shared_ptr<const RunContext> {
    return run == 1 ? context : nullptr;
  };
  wire::Dispatch message;
  if (!wire::decode(bytes, contexts, message)) return 0;
  const std::string once = wire::encode(message);
  wire::Dispatch again;
  require(wire::decode(once, contexts, again).has_value());
  require(wire::encode(again) == once);
  return 0;
}
