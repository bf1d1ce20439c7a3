// Hashes of a few numbers together, for tables whose keys are pairs or tuples of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <tuple>

namespace reprise {

/// Of pairs and tuples of integers and Ids. Not for numbers that strangers choose: it is no secret.
struct NumbersHash {
  template <class Numbers>
  std::size_t operator()(const Numbers& numbers) const {
    return std::apply(
        [](const auto&... each) {
          std::uint64_t hash = 0;
          ((hash = mixed(hash + value_of(each))), ...);
          return static_cast<std::size_t>(hash);
        },
        numbers);
  }

 private:
  template <class Number>
  static std::uint64_t value_of(const Number& number) {
    return std::hash<Number>{}(number);
  }
  // A step of splitmix64 (Steele, Lea and Flood, OOPSLA 2014): every bit changes about half.
  static constexpr std::uint64_t mixed(std::uint64_t x) {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }
};

}  // namespace reprise
