// Word count: one task per text, one that merges what they found, one that picks the most frequent
// words.
//
//   wordcount [--data DIR] [FILE…]          without files: a few lines of its own
//
// Counting is cached: after one file changed, only that file is counted again.
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <reprise/reprise.hpp>

using words = std::map<std::string, int>;
using ranking = std::vector<std::pair<std::string, int>>;

inline constexpr auto count = reprise::task<"wc.count">(
    [](std::string text) -> words {
      words found;
      std::string word;
      for (const unsigned char c : text + ' ') {
        if (std::isalpha(c)) {
          word += static_cast<char>(std::tolower(c));
        } else if (!word.empty()) {
          ++found[word];
          word.clear();
        }
      }
      return found;
    },
    {.cache = true});

inline constexpr auto merge = reprise::task<"wc.merge">([](words a, words b) -> words {
  for (const auto& [word, n] : b) a[word] += n;
  return a;
});

inline constexpr auto top = reprise::task<"wc.top">([](words all, int most) -> ranking {
  ranking ranked(all.begin(), all.end());
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  if (ranked.size() > static_cast<std::size_t>(most)) ranked.resize(static_cast<std::size_t>(most));
  return ranked;
});

int main(int argc, char** argv) try {
  std::filesystem::path data;
  std::vector<std::string> texts;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--data" && i + 1 < argc) {
      data = argv[++i];
      continue;
    }
    std::ifstream file(argument, std::ios::binary);
    if (!file) throw std::runtime_error("cannot read \"" + argument + '"');
    texts.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  if (texts.empty())
    texts = {"the quick brown fox jumps over the lazy dog", "the dog sleeps",
             "a fox is no dog, the fox says"};

  reprise::flow f("wordcount");
  auto sums = f.reduce(merge, f.map(count, f.constant(texts)), words{});
  auto best = f.call(top, sums, f.parameter<int>("top", 5));

  const reprise::run r = f.run({.data = data, .in_memory = data.empty()});
  for (const auto& [word, n] : r[best].get()) std::cout << word << ' ' << n << '\n';
  const reprise::run_result ended = r.wait();
  std::cerr << ended.executed << " tasks ran, " << ended.cached << " came from the cache\n";
  return ended.is_success() ? 0 : 1;
} catch (const std::exception& e) {
  std::cerr << "wordcount: " << e.what() << '\n';
  return 1;
}
