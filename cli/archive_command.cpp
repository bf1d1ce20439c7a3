// `reprise cache export|import` and `reprise runs export|import`: moving results and runs from one
// data directory to another, as one file.
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "actors/run_archive.hpp"
#include "cache/files.hpp"
#include "cli/commands.hpp"
#include "cli/data_access.hpp"
#include "cli/key_selection.hpp"
#include "cli/run_selector.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"
#include "core/text.hpp"

namespace reprise::cli {
namespace {

namespace fs = std::filesystem;

/// Where an archive goes: stdout, or a file that appears when it is complete.
class Target {
 public:
  /// @error conflict: the file exists; invalid_argument: stdout is a terminal
  static Result<Target> open(const std::string& file) {
    Target target;
    if (file == "-") {
      if (is_terminal(STDOUT_FILENO))
        return fail(ErrorCode::invalid_argument,
                    "an archive is no text for a terminal; name a file, or redirect stdout");
      target.out_ = STDOUT_FILENO;
      return target;
    }
    std::error_code error;
    if (fs::exists(fs::symlink_status(file, error)))
      return fail(ErrorCode::conflict,
                  fmt::format("\"{}\" exists already", escape_for_terminal(file)));
    target.path_ = file;
    target.draft_ = fmt::format("{}.part-{}", file, ::getpid());
    target.file_ = cache::Descriptor(
        ::open(target.draft_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (target.file_.value < 0) return cache::file_error("make", target.draft_, errno);
    target.out_ = target.file_.value;
    return target;
  }
  Target(Target&& other) noexcept
      : path_(std::move(other.path_)),
        draft_(std::exchange(other.draft_, {})),
        file_(std::move(other.file_)),
        out_(other.out_) {}
  ~Target() {
    if (!draft_.empty()) ::unlink(draft_.c_str());
  }

  cache::ArchiveWriter::Sink sink() {
    return [this](std::string_view bytes) {
      return cache::write_all(out_, bytes, path_.empty() ? "stdout" : path_.c_str());
    };
  }
  Status keep() {
    if (draft_.empty()) return {};
    if (::fdatasync(out_) != 0) return cache::file_error("write", path_, errno);
    // Unlike a rename, a link never replaces what has come in between.
    if (::link(draft_.c_str(), path_.c_str()) == 0) return {};
    const bool has_no_links = errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS;
    if (has_no_links && ::rename(draft_.c_str(), path_.c_str()) == 0) return {};
    return cache::file_error("make", path_, errno);
  }

 private:
  Target() = default;

  fs::path path_;
  fs::path draft_;
  cache::Descriptor file_;
  int out_ = -1;
};

/// Bytes of a file or of stdin.
Result<cache::ArchiveReader::Source> source_of(const std::string& file,
                                               cache::Descriptor& descriptor) {
  int in = STDIN_FILENO;
  if (file != "-") {
    descriptor = cache::Descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (descriptor.value < 0) return cache::file_error("open", file, errno);
    in = descriptor.value;
  }
  return cache::ArchiveReader::Source(
      [in, file](char* buffer, std::size_t size) -> Result<std::size_t> {
        for (;;) {
          const ssize_t got = ::read(in, buffer, size);
          if (got >= 0) return static_cast<std::size_t>(got);
          if (errno != EINTR) return cache::file_error("read", file, errno);
        }
      });
}

/// The document would come between the bytes of the archive.
std::optional<int> refuse_two_on_stdout(const std::string& file, Console& console) {
  if (file != "-" || !console.is_json()) return std::nullopt;
  return console.fail(
      {ErrorCode::invalid_argument, "--json and the archive cannot both go to stdout; name a file"},
      exit_invalid);
}

Json exported_json(const cache::Exported& exported, std::uint64_t file_bytes) {
  return {{"entries", exported.entries},       {"versions", exported.versions},
          {"damaged", exported.damaged},       {"blobs", exported.blobs},
          {"blob_bytes", exported.blob_bytes}, {"pins", exported.pins},
          {"file_bytes", file_bytes}};
}

Json imported_json(const cache::Imported& imported, bool dry_run) {
  return {{"dry_run", dry_run},
          {"entries", imported.entries},
          {"versions", imported.versions},
          {"known", imported.known},
          {"repaired", imported.repaired},
          {"older", imported.older},
          {"blobs", imported.blobs},
          {"blob_bytes", imported.blob_bytes},
          {"pins", imported.pins}};
}

void tell_imported(const cache::Imported& imported, bool dry_run, Console& console) {
  console.say(fmt::format(
      "{} in {} of {}; {} here already{}{}", dry_run ? "would take" : "took",
      counted(imported.versions, "version"),
      imported.entries == 1 ? "1 entry" : grouped(imported.entries) + " entries",
      grouped(imported.known),
      imported.repaired == 0 ? "" : fmt::format(", {} repaired", grouped(imported.repaired)),
      imported.older == 0
          ? ""
          : fmt::format(", {} left out: something newer is here", grouped(imported.older))));
}

Result<std::shared_ptr<cache::BlobStore>> blobs_of(const journal::DataFolder& folder) {
  auto blobs = cache::BlobStore::open({folder.blobs(), true});
  if (!blobs) return tl::unexpected(blobs.error());
  return std::shared_ptr<cache::BlobStore>(std::move(*blobs));
}

/// A data directory that may be new, and what is to be taken into it.
struct Taking {
  journal::DataFolder folder;
  std::shared_ptr<cache::BlobStore> blobs;
  std::unique_ptr<cache::ArchiveImport> archive;
};

Result<Taking> read_archive(const ImportOptions& options, cache::ArchiveContent content,
                            const GlobalOptions& globals) {
  cache::Descriptor file;
  auto source = source_of(options.file, file);
  if (!source) return tl::unexpected(source.error());
  const auto path = data_path(globals);
  if (!path) return tl::unexpected(path.error());
  auto folder = journal::DataFolder::open({*path, true});
  if (!folder) return tl::unexpected(folder.error());
  auto blobs = blobs_of(*folder);
  if (!blobs) return tl::unexpected(blobs.error());
  auto archive = cache::ArchiveImport::open(
      {.folder = *path, .blobs = *blobs, .bytes_max = options.max_bytes.value_or(UINT64_MAX)});
  if (!archive) return tl::unexpected(archive.error());
  if (auto read = (*archive)->read(*std::move(source), content); !read) {
    Error error = read.error();
    error.message =
        fmt::format("{}: {}; nothing was taken in",
                    options.file == "-" ? "stdin" : "\"" + escape_for_terminal(options.file) + "\"",
                    error.message);
    return tl::unexpected(std::move(error));
  }
  return Taking{*std::move(folder), *std::move(blobs), *std::move(archive)};
}

}  // namespace

int cache_export_command(const CacheExportOptions& options, Console& console) {
  if (const auto refused = refuse_two_on_stdout(options.file, console)) return *refused;
  const auto store = open_cache(console.options());
  if (!store) return console.fail(store.error());
  const auto reading = open_for_reading(console.options());
  if (!reading && reading.error().code != ErrorCode::not_found)
    return console.fail(reading.error());
  const auto selection =
      selection_of(options.select, **store, reading ? reading->journal.get() : nullptr);
  if (!selection) return console.fail(selection.error());
  const auto path = data_path(console.options());
  if (!path) return console.fail(path.error());
  const auto folder = journal::DataFolder::open({*path, false});
  if (!folder) return console.fail(folder.error());
  const auto blobs = blobs_of(*folder);
  if (!blobs) return console.fail(blobs.error());

  auto target = Target::open(options.file);
  if (!target) return console.fail(target.error());
  auto writer = cache::ArchiveWriter::begin(target->sink(), cache::ArchiveContent::results);
  if (!writer) return console.fail(writer.error());
  auto results = cache::ArchiveExport::open(folder->cache_file(), *blobs, **writer);
  if (!results) return console.fail(results.error());
  const Status done = (*results)
                          ->add(*selection)
                          .and_then([&] { return (*results)->add_pins(); })
                          .and_then([&] { return (*writer)->finish(); })
                          .and_then([&] { return target->keep(); });
  if (!done) return console.fail(done.error());
  const cache::Exported& exported = (*results)->counts();
  const std::uint64_t bytes = (*writer)->bytes_written();
  if (console.is_json()) {
    Json document{{"schema", "reprise.cache-exported/1"}};
    document.update(exported_json(exported, bytes));
    return console.document(std::move(document));
  }
  console.say(
      fmt::format("{} of {} and {}: {}", counted(exported.versions, "version"),
                  exported.entries == 1 ? "1 entry" : grouped(exported.entries) + " entries",
                  counted(exported.blobs, "blob"), describe_bytes(bytes)));
  if (exported.damaged > 0)
    console.warn(fmt::format("{} went without their values, which are damaged or missing here",
                             counted(exported.damaged, "version")));
  return exit_ok;
}

int cache_import_command(const ImportOptions& options, Console& console) {
  auto taking = read_archive(options, cache::ArchiveContent::results, console.options());
  if (!taking) return console.fail(taking.error());
  const auto imported = taking->archive->apply(options.dry_run);
  if (!imported) return console.fail(imported.error());
  if (console.is_json()) {
    Json document{{"schema", "reprise.cache-imported/1"}};
    document.update(imported_json(*imported, options.dry_run));
    return console.document(std::move(document));
  }
  tell_imported(*imported, options.dry_run, console);
  return exit_ok;
}

int runs_export_command(const RunsExportOptions& options, Console& console) {
  const std::string& file = options.arguments.back();
  if (const auto refused = refuse_two_on_stdout(file, console)) return *refused;
  const auto reading = open_for_reading(console.options());
  if (!reading) return console.fail(reading.error());
  auto rows =
      find_runs({options.arguments.begin(), options.arguments.end() - 1}, *reading->journal);
  if (!rows) return console.fail(rows.error());
  for (const journal::RunRow& row : *rows)
    if (reading->folder.is_owned(row.id))
      return console.fail({ErrorCode::conflict,
                           fmt::format("run {} is still running; `reprise wait {}` returns when it "
                                       "is finished",
                                       row.id.short_text(), row.id.short_text())});
  const auto store = open_cache(console.options());
  if (!store && store.error().code != ErrorCode::not_found) return console.fail(store.error());
  const auto blobs = blobs_of(reading->folder);
  if (!blobs) return console.fail(blobs.error());

  auto target = Target::open(file);
  if (!target) return console.fail(target.error());
  auto writer = cache::ArchiveWriter::begin(target->sink(), cache::ArchiveContent::runs);
  if (!writer) return console.fail(writer.error());
  const auto exported = export_runs(
      {*reading->journal, store ? store->get() : nullptr, reading->folder.cache_file(), *blobs},
      *rows, **writer);
  if (!exported) return console.fail(exported.error());
  if (auto done = (*writer)->finish(); !done) return console.fail(done.error());
  if (auto done = target->keep(); !done) return console.fail(done.error());
  const std::uint64_t bytes = (*writer)->bytes_written();
  if (console.is_json()) {
    Json ids = Json::array();
    for (const journal::RunRow& row : *rows) ids.push_back(row.id.text());
    Json document{{"schema", "reprise.runs-exported/1"},
                  {"runs", std::move(ids)},
                  {"missing_values", exported->missing}};
    document.update(exported_json(exported->results, bytes));
    return console.document(std::move(document));
  }
  console.say(fmt::format(
      "{}, {} and {}: {}", counted(exported->runs, "run"),
      exported->results.entries == 1 ? "1 entry" : grouped(exported->results.entries) + " entries",
      counted(exported->results.blobs, "blob"), describe_bytes(bytes)));
  if (exported->missing > 0)
    console.warn(
        fmt::format("{} of these runs are not kept any more", counted(exported->missing, "value")));
  return exit_ok;
}

int runs_import_command(const ImportOptions& options, Console& console) {
  auto taking = read_archive(options, cache::ArchiveContent::runs, console.options());
  if (!taking) return console.fail(taking.error());
  auto journal = journal::SqliteJournal::open({.path = taking->folder.journal_file()});
  if (!journal) return console.fail(journal.error());
  const auto imported = import_runs(*taking->archive, **journal, options.dry_run);
  if (!imported) return console.fail(imported.error());
  if (console.is_json()) {
    Json ids = Json::array();
    for (const RunId& id : imported->ids) ids.push_back(id.text());
    Json document{{"schema", "reprise.runs-imported/1"},
                  {"runs", std::move(ids)},
                  {"new_runs", imported->runs},
                  {"known_runs", imported->known}};
    document.update(imported_json(imported->results, options.dry_run));
    return console.document(std::move(document));
  }
  if (console.is_quiet())
    for (const RunId& id : imported->ids) console.out(id.text());
  console.say(fmt::format("{} in {}; {} here already", options.dry_run ? "would take" : "took",
                          counted(imported->runs, "run"), grouped(imported->known)));
  tell_imported(imported->results, options.dry_run, console);
  return exit_ok;
}

}  // namespace reprise::cli
