#include "core/fail_point.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "core/text.hpp"

namespace reprise::fail_points {
namespace {

constexpr const char* variable = "REPRISE_FAIL_POINT";
constexpr std::array<std::string_view, 5> names{"before_blob", "after_blob", "before_commit",
                                                "after_commit", "on_read"};

struct Order {
  FailPoint point = FailPoint::before_blob;
  std::uint64_t nth = 1;   // 1 = the first time
  bool from_then = false;  // and every time after it
  int error = 0;           // 0 = kill
};

std::optional<Order> parse_one(std::string_view text) {
  Order order;
  const std::size_t first = text.find(':');
  const std::size_t second = first == std::string_view::npos ? first : text.find(':', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  const std::string_view name = text.substr(0, first);
  std::string_view count = text.substr(first + 1, second - first - 1);
  const std::string_view action = text.substr(second + 1);

  std::size_t place = 0;
  while (place < names.size() && names[place] != name) ++place;
  if (place == names.size()) return std::nullopt;
  order.point = static_cast<FailPoint>(place);

  if (count.ends_with('+')) {
    order.from_then = true;
    count.remove_suffix(1);
  }
  const auto [end, problem] = std::from_chars(count.data(), count.data() + count.size(), order.nth);
  if (problem != std::errc() || end != count.data() + count.size() || order.nth == 0)
    return std::nullopt;

  if (action == "ENOSPC")
    order.error = ENOSPC;
  else if (action == "EIO")
    order.error = EIO;
  else if (action != "kill")
    return std::nullopt;
  return order;
}

struct Orders {
  std::vector<Order> all;
  std::optional<std::string> misunderstood;
};

Orders read_orders() {
  Orders orders;
  const char* text = ::secure_getenv(variable);
  std::string_view rest = text != nullptr ? text : "";
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    const std::string_view one = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    if (const auto order = parse_one(one))
      orders.all.push_back(*order);
    else
      orders.misunderstood = std::string(one);
  }
  return orders;
}

const Orders& orders() {
  static const Orders read = read_orders();
  return read;
}

std::array<std::atomic<std::uint64_t>, names.size()> passes{};

}  // namespace

const bool is_armed = !orders().all.empty();

int pass(FailPoint point) {
  const std::uint64_t now = ++passes[static_cast<std::size_t>(point)];
  for (const Order& order : orders().all) {
    if (order.point != point) continue;
    if (now != order.nth && !(order.from_then && now > order.nth)) continue;
    if (order.error != 0) return order.error;
    ::kill(::getpid(), SIGKILL);  // nothing is written out, no destructor runs
  }
  return 0;
}

Status check() {
  if (!orders().misunderstood) return {};
  return fail(ErrorCode::invalid_argument,
              fmt::format("{} \"{}\" is no fail point; write NAME:NTH:ACTION, such as "
                          "\"before_commit:1:kill\"",
                          variable, escape_for_terminal(*orders().misunderstood)));
}

}  // namespace reprise::fail_points
