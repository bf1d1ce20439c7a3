// Where a document goes that is no answer but a thing of its own: into a file, or to stdout.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>

#include "cli/console.hpp"

namespace reprise::cli {

/// A file appears under its name once it is complete, in the place of one that was there; what is
/// no plain file (a pipe, a terminal) is written to as it is.
class DocumentOut {
 public:
  /// @param path  empty or "-": stdout
  /// @error conflict: --json wants stdout for itself; io, denied
  [[nodiscard]] static Result<std::unique_ptr<DocumentOut>> open(const std::string& path,
                                                                 Console& console);
  ~DocumentOut();
  DocumentOut(const DocumentOut&) = delete;
  DocumentOut& operator=(const DocumentOut&) = delete;

  void write(std::string_view bytes);
  /// Somebody still takes what is written.
  [[nodiscard]] bool is_open() const;
  /// @error io, exhausted
  Status finish();

  /// The same at the end of a command: says where the document is, with --json as
  /// `reprise.written/1`. @return the exit code
  int finish_and_tell(const std::string& run, std::string_view format);

 private:
  DocumentOut(std::filesystem::path path, Console& console)
      : path_(std::move(path)), console_(console) {}

  std::filesystem::path path_;       // empty = stdout
  std::filesystem::path temporary_;  // empty = written in place
  std::ofstream stream_;
  Console& console_;
  std::uint64_t bytes_ = 0;
};

}  // namespace reprise::cli
