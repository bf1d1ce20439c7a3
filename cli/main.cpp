// The `reprise` program; everything happens in app.cpp.
#include "cli/app.hpp"

int main(int argc, char** argv) {
  return reprise::cli::main_program(argc, argv);
}
