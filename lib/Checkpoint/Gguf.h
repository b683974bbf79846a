// GGUF versions 2 and 3, read from a bounded span: metadata pairs and tensor infos, checked before anything is trusted.
// Every refusal is a numbered error (01xx) naming file, field, offset and value. Nothing is allocated that the bytes
// cannot back.
#pragma once
#include "lib/Checkpoint/Checkpoint.h"

namespace stepdown {

/// One file, mapped and checked. Split files are opened through shard 1 (E01xx for a wrong set). `metadataOnly` accepts
/// unknown tensor types and does not check tensors.
Result<Checkpoint> openGguf(const std::string &path, bool metadataOnly);

/// The files of the split model whose first shard is called `path`, by the name alone: NAME-00001-of-00003.gguf and its
/// two siblings, which may not be there. `path` alone where it is no such name.
std::vector<std::string> shardPaths(const std::string &path);

} // namespace stepdown
