// The task that both programs know: consumer.shout, version 1.
#pragma once

#include <string>

#include <reprise/task.hpp>

inline constexpr auto shout =
    reprise::task<"consumer.shout">([](std::string text) -> std::string { return text + "!"; });
