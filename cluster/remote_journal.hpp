// The journal of a server, for reading: whoever shows runs need not know where they are.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "cluster/client.hpp"
#include "core/value.hpp"
#include "journal/journal.hpp"

namespace reprise::cluster {

/// Rows have the state that the server sees; unfinished ones without an owner are interrupted.
/// Every call is a question to the server. @error as Client's
class RemoteJournal final : public journal::Journal {
 public:
  /// `client` must outlive it.
  explicit RemoteJournal(Client& client) : client_(client) {}

  [[nodiscard]] Result<std::vector<journal::RunRow>> runs(const journal::RunQuery& query) override;
  [[nodiscard]] Result<std::string> flow(const Digest& digest) override;
  [[nodiscard]] Result<std::vector<Entry>> read(const RunId& run, journal::Offset after,
                                                std::size_t limit) override;

  // Nothing is written from afar. @error denied
  [[nodiscard]] Result<journal::Epoch> begin_epoch(std::uint64_t, const std::string&,
                                                   Time) override;
  Status flush() override;
  Status open_run(const journal::RunRow&, std::string_view) override;
  [[nodiscard]] Result<journal::Offset> append(std::span<const journal::Batch>) override;
  Status set_summary(const RunId&, const journal::Summary&) override;
  Status remove(const RunId&) override;

 private:
  Client& client_;
};

/// The bytes of a value that the server has. @error not_found; corrupt: other bytes came
[[nodiscard]] Result<Payload> fetch_value(Client& client, const Payload& wanted);

/// A file that the server has, written to `path`, which must not exist and is removed again when
/// something goes wrong. @error not_found; corrupt: other bytes came; io, denied, exhausted
[[nodiscard]] Status fetch_file(Client& client, const FileValue& file,
                                const std::filesystem::path& path);

}  // namespace reprise::cluster
