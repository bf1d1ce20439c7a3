// Submits a flow to a server: consumer HOST:PORT SECRET_FILE. Its function runs on workers that
// have it, such as consumer_worker.
#include <chrono>
#include <iostream>

#include <reprise/client.hpp>

#include "shout.hpp"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: consumer HOST:PORT SECRET_FILE\n";
    return 2;
  }
  reprise::flow f{"consumer"};
  auto greeting = f.call(shout, "hello");
  const auto there = reprise::client::open({.server = argv[1],
                                            .certificates = {},
                                            .secret_file = argv[2],
                                            .patience = std::chrono::seconds(10)});
  if (!there) {
    std::cerr << there.error().message << '\n';
    return 3;
  }
  const reprise::run r = there->submit(f);
  std::cout << r[greeting].get() << '\n';
}
