#include "cluster/inventory.hpp"

#include "core/pack.hpp"

namespace reprise::cluster {

namespace {

// Attempts are numbered from 1, questions and refreshes from here on.
constexpr std::uint32_t first_question = 1U << 31;

}  // namespace

Digest work_of(const Attempt& attempt) {
  const RunId& run = attempt.context->run;
  std::string bytes;
  Packer pack(bytes);
  pack.bytes({reinterpret_cast<const char*>(run.bytes.data()), run.bytes.size()});
  pack.unsigned_integer(attempt.node.value);
  pack.integer(attempt.map_index);
  pack.bytes(attempt.label);
  pack.unsigned_integer(attempt.run_count);
  pack.unsigned_integer(attempt.loop_count);
  pack.bytes(attempt.loop_result.digest.raw());
  pack.array(2 * attempt.arguments.size());
  for (const Argument& argument : attempt.arguments) {
    pack.bytes(argument.name);
    pack.bytes(argument.value.digest.raw());
  }
  return digest_in("work", bytes);
}

bool outlives_its_server(const Attempt& attempt) {
  return !attempt.question && attempt.number < first_question;
}

}  // namespace reprise::cluster
