// A worker that can run consumer.shout: consumer_worker --server HOST:PORT --secret-file FILE.
#include <reprise/worker.hpp>

#include "shout.hpp"

int main(int argc, char** argv) {
  return reprise::worker_main(argc, argv, shout);
}
