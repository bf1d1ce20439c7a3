#include "tests/sim/disk.hpp"

#include <utility>

#include "core/assert.hpp"

namespace reprise::sim {

Status Disk::trouble() {
  if (is_full) return fail(ErrorCode::exhausted, "the disk is full");
  if (std::exchange(fails_once, false)) return fail(ErrorCode::io, "input/output error");
  return {};
}

// What is read is what was written: each batch goes through its bytes.
Status Disk::apply(const actors::Append& append) {
  for (const auto& [run, summary] : append.summaries)
    if (Status set = journal_.set_summary(run, summary); !set) return set;
  std::vector<journal::Batch> batches;
  for (const journal::Batch& batch : append.batches) {
    auto read = journal::decode(batch.run, journal::encode(batch));
    REPRISE_ASSERT(read.has_value(), read ? "" : read.error().message);
    batches.push_back(std::move(*read));
  }
  const auto written = journal_.append(batches);
  return written ? Status{} : Status(tl::unexpected(written.error()));
}

Status Disk::finish() {
  const actors::Append append = std::move(under_way_.front());
  under_way_.pop_front();
  if (is_broken_) return fail(ErrorCode::io, "nothing is written after an error");
  if (Status bad = trouble(); !bad) {
    is_broken_ = true;
    return bad;
  }
  return apply(append);
}

void Disk::crash(Random& random) {
  std::uint64_t there = random.between(0, under_way_.size());
  for (; there > 0 && !is_full && !is_broken_; --there) {
    const Status applied = apply(under_way_.front());
    REPRISE_ASSERT(applied.has_value(), applied ? "" : applied.error().message);
    under_way_.pop_front();
  }
  if (keeps_late_writes) late_ = under_way_;
  under_way_.clear();
  is_broken_ = false;
}

void Disk::write_late() {
  for (const actors::Append& append : std::exchange(late_, {})) static_cast<void>(apply(append));
}

Status Disk::open_run(const journal::RunRow& row, std::string_view flow_bytes) {
  if (Status bad = trouble(); !bad) return bad;
  return journal_.open_run(row, flow_bytes);
}

}  // namespace reprise::sim
