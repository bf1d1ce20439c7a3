#include "core/time.hpp"

#include <array>
#include <charconv>

#include <fmt/format.h>

#include "core/text.hpp"

namespace reprise {
namespace {

using namespace std::chrono;

constexpr Duration longest_duration = hours{24} * 3653;  // 10 years

/// Reads exactly `digits` digits at the beginning of `text` and removes them.
bool take_number(std::string_view& text, std::size_t digits, int& number) {
  if (text.size() < digits) return false;
  for (char c : text.substr(0, digits))
    if (c < '0' || c > '9') return false;
  std::from_chars(text.data(), text.data() + digits, number);
  text.remove_prefix(digits);
  return true;
}

bool take(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text[0]) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

/// Fraction of a second behind its point; digits below nanoseconds are dropped.
bool take_fraction(std::string_view& text, Duration& fraction) {
  std::int64_t unit = 100'000'000, sum = 0;
  std::size_t digits = 0;
  for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits) {
    sum += unit * (text[digits] - '0');
    unit /= 10;
  }
  text.remove_prefix(digits);
  fraction = Duration(sum);
  return digits > 0;
}

bool take_offset(std::string_view& text, minutes& offset) {
  if (take(text, "Zz")) {
    offset = minutes{0};
    return true;
  }
  bool is_west = !text.empty() && text[0] == '-';
  int hour = 0, minute = 0;
  if (!take(text, "+-") || !take_number(text, 2, hour) || !take(text, ":") ||
      !take_number(text, 2, minute) || hour > 23 || minute > 59)
    return false;
  offset = (is_west ? -1 : 1) * (hours{hour} + minutes{minute});
  return true;
}

struct Unit {
  std::string_view name;
  Duration size;
};
constexpr std::array units = {Unit{"ms", milliseconds{1}}, Unit{"s", std::chrono::seconds{1}},
                              Unit{"m", minutes{1}}, Unit{"h", hours{1}}, Unit{"d", hours{24}}};

}  // namespace

Time now() {
  struct Origin {
    Time wall = time_point_cast<Duration>(system_clock::now());
    steady_clock::time_point steady = steady_clock::now();
  };
  static const Origin origin;
  return origin.wall + duration_cast<Duration>(steady_clock::now() - origin.steady);
}

std::string to_rfc3339(Time time) {
  auto whole = floor<microseconds>(
      time);  // in nanoseconds, the first day that Time knows begins too early for it
  auto day = floor<days>(whole);
  year_month_day date(day);
  hh_mm_ss clock(whole - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

Result<Time> parse_rfc3339(std::string_view text) {
  auto bad = [&](std::string_view why) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("time \"{}\" {}; write for example 2026-11-20T17:02:11Z",
                            shorten(escape_for_terminal(text), 60), why));
  };
  std::string_view rest = text;
  int y = 0, mo = 0, d = 0, h = 0, mi = 0, s = 0;
  bool has_shape = take_number(rest, 4, y) && take(rest, "-") && take_number(rest, 2, mo) &&
                   take(rest, "-") && take_number(rest, 2, d) && take(rest, "Tt ") &&
                   take_number(rest, 2, h) && take(rest, ":") && take_number(rest, 2, mi) &&
                   take(rest, ":") && take_number(rest, 2, s);
  Duration fraction{0};
  if (has_shape && take(rest, ".")) has_shape = take_fraction(rest, fraction);
  minutes offset{0};
  if (!has_shape || !take_offset(rest, offset) || !rest.empty()) return bad("is not RFC 3339");
  year_month_day date{year{y}, month{static_cast<unsigned>(mo)}, day{static_cast<unsigned>(d)}};
  if (!date.ok() || h > 23 || mi > 59 || s > 60) return bad("does not exist");  // 60: leap second
  if (y < 1678 || y > 2261) return bad("is outside of the years 1678 to 2261");
  return Time(sys_days(date).time_since_epoch() + hours{h} + minutes{mi} + std::chrono::seconds{s} +
              fraction - offset);
}

Result<Duration> parse_duration(std::string_view text) {
  auto bad = [&](std::string_view why) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("duration \"{}\" {}; write for example 250ms, 30s or 1h30m",
                            shorten(escape_for_terminal(text), 40), why));
  };
  if (text.empty()) return bad("is empty");
  Duration sum{0};
  std::array<bool, units.size()> seen{};
  std::string_view rest = text;
  while (!rest.empty()) {
    std::int64_t number = 0;
    auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (error == std::errc::result_out_of_range) return bad("is longer than 10 years");
    if (error != std::errc{} || rest[0] == '-') return bad("lacks a whole number before a unit");
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    std::string_view name = rest.substr(0, rest.find_first_of("0123456789"));
    std::size_t unit = 0;
    while (unit < units.size() && units[unit].name != name) ++unit;
    if (unit == units.size())
      return bad(name.empty() ? "lacks a unit (ms s m h d)" : "has an unknown unit (ms s m h d)");
    if (seen[unit]) return bad("names a unit twice");
    seen[unit] = true;
    if (number > longest_duration / units[unit].size) return bad("is longer than 10 years");
    sum += number * units[unit].size;
    if (sum > longest_duration) return bad("is longer than 10 years");
    rest.remove_prefix(name.size());
  }
  return sum;
}

std::string describe(Duration exact) {
  auto duration = duration_cast<microseconds>(exact);  // leaves room for rounding up
  if (duration < microseconds{0}) return "-" + describe(-duration);
  if (duration < milliseconds{10}) {
    auto tenths =
        round<std::chrono::duration<std::int64_t, std::ratio<1, 10'000>>>(duration).count();
    if (tenths % 10 == 0) return fmt::format("{} ms", tenths / 10);
    return fmt::format("{}.{} ms", tenths / 10, tenths % 10);
  }
  if (auto ms = round<milliseconds>(duration).count(); ms < 1000) return fmt::format("{} ms", ms);
  if (auto tenths = round<std::chrono::duration<std::int64_t, std::deci>>(duration).count();
      tenths < 600)
    return fmt::format("{}.{} s", tenths / 10, tenths % 10);
  if (auto s = round<std::chrono::seconds>(duration).count(); s < 3600)
    return fmt::format("{}m {:02}s", s / 60, s % 60);
  if (auto m = round<minutes>(duration).count(); m < 24 * 60)
    return fmt::format("{}h {:02}m", m / 60, m % 60);
  auto h = round<hours>(duration).count();
  return fmt::format("{}d {:02}h", h / 24, h % 24);
}

}  // namespace reprise
