// Reads the golden vectors that lie beside the tests: lines "V name canon=hex  arg=hex" and "K name
// hex".
#pragma once

#include <cstdlib>
#include <fstream>
#include <map>
#include <string>

#include <boost/test/unit_test.hpp>

namespace reprise::tests {

inline std::string trimmed(const std::string& text) {
  auto begin = text.find_first_not_of(' ');
  auto end = text.find_last_not_of(' ');
  return begin == std::string::npos ? std::string() : text.substr(begin, end - begin + 1);
}

struct Vectors {
  struct Encoded {
    std::string canon, digest;
  };
  std::map<std::string, Encoded> values;  // by name
  std::map<std::string, std::string>
      keys;  // hex by name; also the "V dir…" lines, which are digests

  explicit Vectors(const std::string& file) {
    const char* root = std::getenv("REPRISE_SOURCE_DIR");
    std::ifstream in(std::string(root ? root : ".") + "/tests/core/" + file);
    BOOST_REQUIRE_MESSAGE(in, "cannot read " + file + "; is REPRISE_SOURCE_DIR set?");
    for (std::string line; std::getline(in, line);) {
      if (line.size() < 3) continue;
      auto canon = line.find(" canon=");
      if (line[0] == 'V' && canon != std::string::npos) {
        auto digest = line.find("  arg=", canon);
        BOOST_REQUIRE(digest != std::string::npos);
        values[trimmed(line.substr(2, canon - 2))] = {line.substr(canon + 7, digest - canon - 7),
                                                      line.substr(digest + 6)};
      } else {
        BOOST_REQUIRE(line.size() > 66);
        keys[trimmed(line.substr(2, line.size() - 66))] = line.substr(line.size() - 64);
      }
    }
    BOOST_REQUIRE(!values.empty() || !keys.empty());
  }
};

}  // namespace reprise::tests
