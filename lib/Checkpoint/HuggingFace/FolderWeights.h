// The tensors of a Hugging Face folder, from one file or from shards, under GGUF's names.
#pragma once
#include "lib/Checkpoint/Checkpoint.h"
#include "lib/Checkpoint/HuggingFace/Config.h"

namespace stepdown {

/// Opens the safetensors files of `folder` and adds them and their tensors to `builder`. E1401, E1403 to E1408; E1414
/// lists tensors that no rule of the family takes, E1413 those that `config` contradicts.
Status readFolderWeights(const std::string &folder, const FolderConfig &config, CheckpointBuilder &builder);

} // namespace stepdown
