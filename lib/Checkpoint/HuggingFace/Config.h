// config.json and generation_config.json of a Hugging Face folder as the keys that GGUF has for the same, which
// ModelParameters.cpp reads and checks. What the family here does not compute is refused (E1410 to E1413, E1415).
#pragma once
#include "lib/Checkpoint/HuggingFace/FolderFamilies.h"
#include "lib/Checkpoint/HuggingFace/JsonFile.h"
#include "lib/Checkpoint/HuggingFace/QuantConfig.h"
#include "lib/Checkpoint/PairWriter.h"
#include "lib/Checkpoint/ParameterLimits.h"

#include <optional>

namespace stepdown {

/// A vector that follows from config.json and that GGUF files store.
struct MadeVector {
  std::string name;
  std::vector<float> values;
};

struct FolderConfig {
  const FolderFamily *family;
  bool tied;                           ///< the head is the embedding
  bool inputBias, outputBias, mlpBias; ///< of q, k and v, of attention's output and of the MLP
  uint64_t layers, vocabulary;
  std::optional<uint64_t> bos;
  std::vector<uint64_t> ends; ///< ids that end an answer
  std::vector<MadeVector> made;
  uint64_t width;
  uint64_t heads, keyHeads, headSize; ///< of a decoder
  uint64_t experts;                   ///< of a layer; 0: none
  FolderQuantization quantization;
};

/// As JsonObject::real, for numbers of `range` alone: what reads the keys that this makes would refuse another by the
/// name that GGUF has for it.
Result<double> realWithin(const JsonObject &object, const char *key, const KeyRange &range,
                          std::optional<double> fallback = {});

/// Reads `config` and, where the folder has one, `generation`; adds the keys to `pairs`.
Result<FolderConfig> readConfig(const JsonObject &config, const JsonObject *generation, PairWriter &pairs);

/// The rotary keys of `config`, for heads of `headSize` elements; tensors that follow are added to `made`.
Status readRope(const JsonObject &config, const FolderFamily &family, uint64_t headSize, uint64_t context,
                PairWriter &pairs, std::vector<MadeVector> &made);

} // namespace stepdown
