// The same tasks as a shared object, for programs that are there already:
//
//   reprise run words.yaml --plugin ./example_plugin.so
//   reprise worker start --server scheduler.lan:4747 --plugin ./example_plugin.so
#include <reprise/plugin.hpp>

#include "words.hpp"

REPRISE_PLUGIN(examples::count, examples::merge)
