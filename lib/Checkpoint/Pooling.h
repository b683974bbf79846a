// How an encoder's rows, one a token, become the one embedding of a text.
#pragma once
#include "lib/Base/Result.h"
#include "lib/Checkpoint/Metadata.h"
#include <optional>
#include <string>

namespace stepdown {

/// The mean of all rows, the row of the first token ([CLS]), or that of the last. None: the checkpoint names no way.
enum class Pooling { None = 0, Mean = 1, First = 2, Last = 3 }; // numbered as llama.cpp's ARCH.pooling_type

struct PoolingParameters {
  Pooling pooling = Pooling::None;
  bool normalises = true; ///< the embedding is divided by its length
};

/// ARCH.pooling_type, and ARCH.pooling_normalize, a key of Stepdown's that stands for the modules of a folder
/// (lib/Checkpoint/HuggingFace/Encoder.h). A GGUF file of llama.cpp's converter does not have it, and embeddings are
/// normalised then, as llama.cpp does. E1423 for another way.
Result<PoolingParameters> readPooling(const Metadata &metadata);

/// "mean", "cls" or "last"; nothing for another word.
std::optional<Pooling> poolingOf(const std::string &name);

} // namespace stepdown
