// The cache alone: results of an ordinary function, kept between runs of an ordinary program.
//
//   local_cache [DIR]          a data directory; without one it is made anew and thrown away
//
// The slow function runs once per text; another version of it runs again, and going back to the
// first version finds what that gave.
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>

#include <reprise/local_cache.hpp>

namespace {

int times_run = 0;

int slow_count(const std::string& text, char wanted) {
  ++times_run;
  int count = 0;
  for (const char c : text) count += c == wanted;
  return count;
}

/// Asks the cache first.
int count(reprise::local_cache& cache, const std::string& version, const std::string& text) {
  const reprise::local_cache::inputs in{{"text", text}, {"wanted", "o"}, {"verbose", true}};
  const reprise::local_cache::names ignored{"verbose"};  // does not change the result
  const auto known = cache.get<int>("count", version, in, ignored);
  if (known && *known) return **known;
  if (!known) std::cerr << known.error().message << '\n';  // then it is only slower
  const int made = slow_count(text, version == "1" ? 'o' : 'O');
  (void)cache.set("count", version, in, made, ignored);
  return made;
}

}  // namespace

int main(int argc, char** argv) {
  std::filesystem::path data;
  if (argc > 1) {
    data = argv[1];
  } else {
    std::string pattern = (std::filesystem::temp_directory_path() / "local-cache-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) return 1;
    data = pattern;
  }
  {
    reprise::local_cache cache(data);
    const auto show = [&](const std::string& version, const std::string& text) {
      const int found = count(cache, version, text);
      std::cout << "version " << version << " of \"" << text << "\": " << found << ", ran "
                << times_run << " times\n";
    };
    show("1", "to be or not to be");
    show("1", "to be or not to be");
    show("2", "to be or not to be");
    show("1", "to be or not to be");
    if (const auto cleared = cache.clear(); !cleared) std::cerr << cleared.error().message << '\n';
    show("1", "to be or not to be");
  }
  if (argc <= 1) std::filesystem::remove_all(data);
}
