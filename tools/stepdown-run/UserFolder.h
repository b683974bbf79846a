// The folders of the XDG base directory specification that belong to one user.
#pragma once
#include "lib/Base/Result.h"
#include <string>

namespace stepdown::run {

/// The folder stepdown/ in what `variable` names ("XDG_CACHE_HOME"), else in `underHome` ("/.cache") of HOME; made
/// where it is not there, folders that are missing for this user alone. `what` is for messages; E0903.
Result<std::string> userFolder(const char *what, const char *variable, const char *underHome);

} // namespace stepdown::run
