// The keys of config.json that no reader asked for, and those whose value a family has in any case.
#pragma once
#include "lib/Checkpoint/HuggingFace/FolderFamilies.h"
#include "lib/Checkpoint/HuggingFace/JsonFile.h"

namespace stepdown {

/// After all keys that have a meaning were asked for. E1411 for another value than the family's; E1412 for a key that
/// asks for something and that nobody read.
Status checkConfigKeys(const JsonObject &config, const FolderFamily &family);

} // namespace stepdown
