// A worker of your own: it serves a server as `reprise worker start` does, and offers these tasks
// to flow files and clients.
//
//   example_worker --server scheduler.lan:4747 --slots 4
//   reprise submit words.yaml --server scheduler.lan:4747 --wait
//
// Each task runs in a process of its own that stays for the next: one that crashes fails its own
// attempt and nothing else.
#include "words.hpp"

int main(int argc, char** argv) {
  return reprise::worker_main(argc, argv, examples::count, examples::merge);
}
