#include "cli/run_place.hpp"

#include <algorithm>
#include <utility>

#include "cli/data_access.hpp"
#include "cli/remote.hpp"
#include "cluster/remote_journal.hpp"
#include "cluster/run_queries.hpp"

namespace reprise::cli {
namespace {

class Here final : public RunPlace {
 public:
  explicit Here(Reading reading) : reading_(std::move(reading)) {}

  journal::Journal& journal() override { return *reading_.journal; }
  Result<RunState> state(journal::RunRow& row) override { return current_state(reading_, row); }
  Result<std::string> read_log(const RunId& run, const LogSource& log, std::uint64_t offset,
                               std::size_t limit) override {
    const auto opened =
        worker::open_log(reading_.folder.run_folder(run), log.task, log.attempt, log.stream);
    if (!opened && opened.error().code == ErrorCode::not_found) return std::string();
    if (!opened) return tl::unexpected(opened.error());
    return opened->read(offset, limit);
  }
  bool is_far() const override { return false; }

 private:
  Reading reading_;
};

class There final : public RunPlace {
 public:
  explicit There(std::unique_ptr<cluster::Client> client)
      : client_(std::move(client)), journal_(*client_) {}

  journal::Journal& journal() override { return journal_; }
  Result<RunState> state(journal::RunRow& row) override {
    journal::RunQuery query;
    query.id_prefix = row.id.text();
    auto rows = journal_.runs(query);
    if (!rows) return tl::unexpected(rows.error());
    if (rows->empty())
      return fail(ErrorCode::not_found, "run " + row.id.short_text() + " was removed");
    row = std::move(rows->front());
    return row.state;
  }
  Result<std::string> read_log(const RunId& run, const LogSource& log, std::uint64_t offset,
                               std::size_t limit) override {
    cluster::wire::AskLog what;
    what.run = run;
    what.task = log.task;
    what.attempt = log.attempt;
    what.is_err = log.stream == worker::Stream::err;
    what.offset = offset;
    what.limit = std::min<std::uint64_t>(limit, cluster::wire::log_part_bytes);
    const auto bytes = client_->query("log", encode(what));
    if (!bytes && bytes.error().code == ErrorCode::not_found) return std::string();
    if (!bytes) return tl::unexpected(bytes.error());
    cluster::wire::LogPart part;
    if (Status read = decode(*bytes, part); !read) return tl::unexpected(read.error());
    return std::move(part.bytes);
  }
  bool is_far() const override { return true; }

 private:
  std::unique_ptr<cluster::Client> client_;
  cluster::RemoteJournal journal_;
};

}  // namespace

Result<std::unique_ptr<RunPlace>> RunPlace::open(const GlobalOptions& options) {
  if (options.server.empty()) {
    auto reading = open_for_reading(options);
    if (!reading) return tl::unexpected(reading.error());
    return std::make_unique<Here>(*std::move(reading));
  }
  auto client = connect_client(options);
  if (!client) return tl::unexpected(client.error());
  return std::make_unique<There>(*std::move(client));
}

}  // namespace reprise::cli
