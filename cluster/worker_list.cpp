#include "cluster/worker_list.hpp"

#include <algorithm>

#include "core/pack.hpp"

namespace reprise::cluster {

std::string encode_workers(const std::vector<WorkerView>& workers, Time now) {
  std::string bytes;
  Packer pack(bytes);
  pack.array(workers.size());
  for (const WorkerView& worker : workers) {
    pack.array(7);
    pack.bytes(worker.card.name);
    pack.unsigned_integer(static_cast<std::uint64_t>(worker.health));
    pack.unsigned_integer(worker.card.slots);
    pack.unsigned_integer(worker.in_hand);
    pack.integer(std::max(now - worker.heard, Duration{0}).count());
    pack.integer(std::max(now - worker.joined, Duration{0}).count());
    pack.bytes(worker.card.enforcement);
  }
  return bytes;
}

Result<std::vector<ListedWorker>> decode_workers(std::string_view bytes) {
  std::vector<ListedWorker> workers;
  Unpacker in(bytes);
  for (std::uint32_t count = in.array(); count > 0 && !in.failed(); --count) {
    std::uint32_t fields = in.array();
    if (fields < 7) in.fail();
    ListedWorker& worker = workers.emplace_back();
    worker.name = in.bytes();
    worker.health = static_cast<WorkerView::Health>(
        in.unsigned_integer(static_cast<std::uint64_t>(WorkerView::Health::draining)));
    worker.slots = in.index();
    worker.in_hand = in.unsigned_integer();
    worker.silence = Duration(in.integer());
    worker.age = Duration(in.integer());
    worker.enforcement = in.bytes();
    for (; fields > 7 && !in.failed(); --fields) (void)in.skip();
  }
  if (!in.at_end()) return fail(ErrorCode::corrupt, "a list of workers does not decode");
  return workers;
}

}  // namespace reprise::cluster
