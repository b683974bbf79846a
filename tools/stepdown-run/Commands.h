// The commands of stepdown-run; each lives in the file of its name.
#pragma once
#include "tools/stepdown-run/Options.h"

namespace stepdown::run {

Command generateCommand();
Command tokenizeCommand();
Command detokenizeCommand();
Command evalCommand();
Command benchCommand();
Command inspectCommand();
Command renderCommand();
Command chatCommand();
Command callCommand();

/// -p TEXT or -f FILE; E0905 for both or none, E0901.
Result<std::string> textArgument(const Arguments &arguments);

} // namespace stepdown::run
