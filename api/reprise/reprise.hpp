// Everything: tasks, flows, runs. Start with reprise/flow.hpp.
#pragma once

#include "reprise/adapt.hpp"
#include "reprise/client.hpp"
#include "reprise/clock.hpp"
#include "reprise/codec.hpp"
#include "reprise/context.hpp"
#include "reprise/error.hpp"
#include "reprise/flow.hpp"
#include "reprise/hooks.hpp"
#include "reprise/local_cache.hpp"
#include "reprise/options.hpp"
#include "reprise/run.hpp"
#include "reprise/signal.hpp"
#include "reprise/state.hpp"
#include "reprise/task.hpp"
#include "reprise/value.hpp"
#include "reprise/worker.hpp"
