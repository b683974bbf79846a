// What bench does with --serve.
#pragma once
#include "lib/CommandLine/CommandLine.h"

namespace stepdown::run {

/// E0905, E0903, what opening a model refuses; of a server E0901, E0902.
Status benchServe(const commandline::Arguments &arguments);

} // namespace stepdown::run
