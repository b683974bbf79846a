// A Hugging Face folder as a checkpoint: config.json, generation_config.json, tokenizer.json, tokenizer_config.json and
// the tensors of one safetensors file or of the shards that its index names. Everything comes out under the names that
// GGUF has for it, so what reads a checkpoint does not know the difference. E1401 to E1421.
#pragma once
#include "lib/Checkpoint/Checkpoint.h"

namespace stepdown {

bool isFolder(const std::string &path);
/// Whether the name `path` is there, whatever it leads to; E0901 where that cannot be said.
Result<bool> isThere(const std::string &path);
/// "SmolLM2-1.7B" of "models/SmolLM2-1.7B/", and of "." in it: what the folder is called.
std::string folderName(const std::string &path);

/// `metadataOnly` does not look at the weights, which need not be there.
Result<Checkpoint> openFolder(const std::string &path, bool metadataOnly);

/// The files of the folder `path` that openFolder may read, as far as they are there.
std::vector<std::string> folderFiles(const std::string &path);

} // namespace stepdown
