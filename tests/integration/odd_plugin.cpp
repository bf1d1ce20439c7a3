// A plugin as a later version of the library may make one.
#include <cstddef>

#include "api/reprise/plugin_abi.h"

extern "C" __attribute__((visibility("default"))) const reprise_plugin_v1 reprise_plugin;
extern "C" const reprise_plugin_v1 reprise_plugin = {
    99, sizeof(reprise_plugin_v1), "a later compiler", [] { return std::size_t{0}; },
    [](std::size_t) -> const reprise_plugin_task* { return nullptr; }};
