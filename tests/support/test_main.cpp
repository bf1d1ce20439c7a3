// The main of every test program. The module has the program's name.
#include <errno.h>

#include <boost/test/unit_test.hpp>

namespace {

bool name_module() {
  boost::unit_test::framework::master_test_suite().p_name.value = program_invocation_short_name;
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  return boost::unit_test::unit_test_main(&name_module, argc, argv);
}
