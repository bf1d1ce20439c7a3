#include "common.hpp"

int use(const reprise::run& r, const reprise::node<std::string>& n) {
  return r[n].get();
}
