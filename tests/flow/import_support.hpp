// What the tests of the importers share: temporary files, gzip, the folder with recorded workflows.
#pragma once

#include <unistd.h>
#include <zlib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.hpp"
#include "flow/diagnostics.hpp"
#include "tests/support/temporary_folder.hpp"

namespace reprise::test {

class TemporaryFolder : public testing::TemporaryFolder {
 public:
  /// Writes a file and returns its path.
  std::string write(const std::string& name, std::string_view bytes) const {
    const std::filesystem::path file = *this / name;
    std::ofstream(file, std::ios::binary) << bytes;
    return file.string();
  }
};

/// `bytes` as one gzip member.
inline std::string gzip(std::string_view bytes) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::runtime_error("deflateInit2 failed");
  }
  std::string out(deflateBound(&stream, bytes.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) throw std::runtime_error("deflate failed");
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

/// "line:column CODE message" of each diagnostic, one a line; suggestions as " (did you mean
/// 'x'?)".
inline std::string listed(const std::vector<Diagnostic>& diagnostics) {
  std::string text;
  for (const Diagnostic& d : diagnostics) {
    if (!text.empty()) text += '\n';
    text += std::to_string(d.span.line) + ":" + std::to_string(d.span.column) + " " + d.code + " " +
            d.message;
    if (!d.suggestion.empty()) text += " (did you mean '" + d.suggestion + "'?)";
  }
  return text;
}

/// The mistakes of a result, "" for a success: for BOOST_REQUIRE_MESSAGE.
template <class T>
std::string why_not(const tl::expected<T, std::vector<Diagnostic>>& result) {
  return result ? std::string() : listed(result.error());
}
template <class T>
std::string why_not(const Result<T>& result) {
  return result ? std::string() : result.error().message;
}

/// Folder `below` of the recorded workflows and graphs, which are not part of this repository;
/// nullopt where it is absent, after saying so.
inline std::optional<std::filesystem::path> shared_folder(const std::string& below) {
  const char* given = std::getenv("REPRISE_SHARED_DIR");
  const char* source = std::getenv("REPRISE_SOURCE_DIR");
  const std::filesystem::path folder =
      given != nullptr ? std::filesystem::path(given)
                       : std::filesystem::path(source != nullptr ? source : ".") / ".." / "shared";
  if (std::filesystem::is_directory(folder / below)) return folder / below;
  std::cout << "SKIPPED: " << (folder / below).lexically_normal().string() << " is absent\n";
  return std::nullopt;
}

/// Rows of a tab-separated file by the names in its first row.
inline std::vector<std::map<std::string, std::string>> read_table(
    const std::filesystem::path& path) {
  std::ifstream file(path);
  const auto split = [](const std::string& line) {
    std::vector<std::string> cells;
    std::istringstream stream(line);
    for (std::string cell; std::getline(stream, cell, '\t');) cells.push_back(cell);
    return cells;
  };
  std::string line;
  std::getline(file, line);
  const std::vector<std::string> header = split(line);
  std::vector<std::map<std::string, std::string>> rows;
  while (std::getline(file, line)) {
    const std::vector<std::string> cells = split(line);
    auto& row = rows.emplace_back();
    for (std::size_t i = 0; i < cells.size() && i < header.size(); ++i) row[header[i]] = cells[i];
  }
  return rows;
}

}  // namespace reprise::test
