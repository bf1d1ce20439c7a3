#include "cluster/worker_list.hpp"

#include <algorithm>

#include "cluster/wire_codec.hpp"
#include "core/pack.hpp"

namespace reprise::cluster {

std::string encode_workers(const std::vector<WorkerView>& workers, Time now) {
  std::string bytes;
  Packer pack(bytes);
  pack.array(workers.size());
  for (const WorkerView& worker : workers) {
    pack.array(13);
    pack.bytes(worker.card.name);
    pack.unsigned_integer(static_cast<std::uint64_t>(worker.health));
    pack.unsigned_integer(worker.card.slots);
    pack.unsigned_integer(worker.in_hand);
    pack.integer(std::max(now - worker.heard, Duration{0}).count());
    pack.integer(std::max(now - worker.joined, Duration{0}).count());
    const WorkerCard& card = worker.card;
    wire::Writer out(bytes);
    out.write(card.capacity);
    out.write(worker.cpu_milli);
    out.write(worker.memory_bytes);
    out.write(card.labels);
    out.write(card.functions);
    out.write(card.enforcement);
    out.write(card.version);
  }
  return bytes;
}

Result<std::vector<ListedWorker>> decode_workers(std::string_view bytes) {
  std::vector<ListedWorker> workers;
  wire::Reader reader(bytes);
  Unpacker& in = reader.in;
  for (std::uint32_t count = in.array(); count > 0 && !in.failed(); --count) {
    std::uint32_t fields = in.array();
    if (fields < 6) in.fail();
    ListedWorker& worker = workers.emplace_back();
    worker.name = in.bytes();
    worker.health = static_cast<WorkerView::Health>(
        in.unsigned_integer(static_cast<std::uint64_t>(WorkerView::Health::draining)));
    worker.slots = in.index();
    worker.in_hand = in.unsigned_integer();
    worker.silence = Duration(in.integer());
    worker.age = Duration(in.integer());
    if (fields >= 13) {
      reader.read(worker.capacity);
      reader.read(worker.cpu_milli);
      reader.read(worker.memory_bytes);
      reader.read(worker.labels);
      reader.read(worker.functions);
      reader.read(worker.enforcement);
      reader.read(worker.version);
      fields -= 7;
    }
    for (; fields > 6 && !in.failed(); --fields) (void)in.skip();
  }
  if (!in.at_end()) return fail(ErrorCode::corrupt, "a list of workers does not decode");
  return workers;
}

}  // namespace reprise::cluster
