// What a folder says of an encoder beside what all models say: keys of config.json, and the modules with which the
// package sentence-transformers makes one embedding of a text.
#pragma once
#include "lib/Checkpoint/Checkpoint.h"
#include "lib/Checkpoint/HuggingFace/FolderFamilies.h"
#include "lib/Checkpoint/HuggingFace/JsonFile.h"
#include "lib/Checkpoint/PairWriter.h"

namespace stepdown {

/// Epsilon, and that each token sees the whole text; E1411 for positions and masks that are others.
Status readEncoderConfig(const JsonObject &config, const FolderFamily &family, PairWriter &pairs);

/// Of a folder with modules.json: pooling and whether embeddings are normalised, for embeddings of `width` columns. A
/// folder without it says nothing. E1423 for a pooling that is not done; E1426, E1401.
Status readEncoderModules(const std::string &folder, const FolderFamily &family, uint64_t width, PairWriter &pairs);

/// The files of `folder` that readEncoderModules may read.
std::vector<std::string> encoderFiles(const std::string &folder);

} // namespace stepdown
