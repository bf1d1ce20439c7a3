// Strangers and peers on a link: bytes of any kind before the handshake, and frames of any kind
// after it.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/exchange.hpp"

using namespace reprise;
using namespace reprise::cluster;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

std::unique_ptr<Exchange> scheduler() {
  ExchangeOptions options;
  options.self.role = Role::scheduler;
  options.self.name = "s";
  options.secret = std::string(32, 's');
  return std::move(*Exchange::open(std::move(options), [](std::span<std::uint8_t> out) {
    std::fill(out.begin(), out.end(), std::uint8_t{7});
  }));
}

// In portions of a size that the input chooses.
template <class F>
void feed(std::string_view bytes, std::size_t portion, F f) {
  while (!bytes.empty()) {
    f(bytes.substr(0, portion));
    bytes.remove_prefix(std::min(portion, bytes.size()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t portion = data[1] + 1u;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 2, size - 2);
  if (data[0] % 2 == 0) {
    // Without the secret nobody gets a link, whatever is sent.
    auto exchange = scheduler();
    const auto connection = exchange->accepted("10.0.0.1", Instant{});
    feed(rest, portion,
         [&](std::string_view bytes) { exchange->received(connection, bytes, Instant{}); });
    std::string out;
    exchange->produce(connection, out, 65536, Instant{});
    require(exchange->link_count() == 0);
    require(out.size() < 2048);
    return 0;
  }
  // A peer that has proved itself sends frames: each of these is an input of its own.
  LinkLimits limits;
  limits.max_message_bytes = 4096;
  Link link(limits);
  for (int i = 0; i < 3; ++i) require(link.send(1, "xyz").has_value());
  (void)link.next_frame();
  std::vector<Message> messages;
  std::uint64_t received = 0;
  feed(rest, portion, [&](std::string_view body) {
    (void)link.receive(body, messages);
    require(link.received() >= received);
    received = link.received();
    require(link.collecting_bytes() <= limits.max_message_bytes);
    require(link.unacked_bytes() <= 3 * (3 + 64));
  });
  for (const Message& message : messages) require(message.bytes.size() <= limits.max_message_bytes);
  return 0;
}
