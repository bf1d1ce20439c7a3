// Secrets of command tasks: read where the command runs, from a folder with one file for each, and
// taken out of everything that is kept of the command.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "core/value.hpp"
#include "worker/environment.hpp"
#include "worker/process.hpp"

namespace reprise::worker {

inline constexpr std::size_t secret_bytes_max = std::size_t{64} << 10;

/// Where secrets lie, the first that has one wins: `given` (`--secrets`, REPRISE_SECRETS_DIR), then
/// the folder that systemd names in CREDENTIALS_DIRECTORY.
[[nodiscard]] std::vector<std::filesystem::path> secret_folders(const std::filesystem::path& given,
                                                                const Environment& environment);

/// The content of the file `name`, without the one line end it may have last.
/// @error invalid_argument: not a name, or the content cannot be a variable's; not_found: in none
/// of the folders; denied: others than its owner may read or write the file; io. No message holds
/// any of it.
[[nodiscard]] Result<std::string> read_secret(const std::vector<std::filesystem::path>& folders,
                                              std::string_view name);

/// `text` with every secret replaced by "***".
[[nodiscard]] std::string redact(std::string text, const std::vector<std::string>& secrets);
/// The same in all texts of a value, keys too.
[[nodiscard]] Value redact(Value value, const std::vector<std::string>& secrets);

/// Passes on what it is given with every secret replaced by "***", also one that comes in pieces.
/// What might be the beginning of one is held back until it is known; call finish() at the end.
class RedactingSink final : public OutputSink {
 public:
  /// @param secrets  none of them empty; must outlive this, as must `next`
  RedactingSink(const std::vector<std::string>& secrets, OutputSink& next)
      : secrets_(secrets), next_(next) {}
  void write(std::string_view bytes) override;
  void finish();

 private:
  const std::vector<std::string>& secrets_;
  OutputSink& next_;
  std::string held_;
};

}  // namespace reprise::worker
