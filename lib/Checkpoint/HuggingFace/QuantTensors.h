// A linear of a folder that several tensors hold: codes, scales, zero points and the order of columns.
#pragma once
#include "lib/Checkpoint/HuggingFace/QuantConfig.h"
#include "lib/Checkpoint/HuggingFace/Safetensors.h"
#include "lib/Checkpoint/HuggingFace/WeightPart.h"
#include <map>

namespace stepdown {

/// "model.layers.0.self_attn.q_proj" with the tensors whose names go on with a dot and the role.
struct GatheredWeight {
  std::string name, file; ///< file: of the first of them, for messages
  std::map<std::string, SafeTensor> tensors;
};

/// The role of the tensor `name`, behind its last dot, if `form` has such, else "". A weight of floats has none.
std::string roleOf(const FolderQuantization &form, const SafeTensor &tensor);
/// Whether a tensor of this name scales activations, of which nothing is read: they have more bits here.
bool scalesActivations(const std::string &name);

/// What `weight` makes. E1451: a tensor is missing; E1452: shapes or types that contradict; E1453 and E1454.
Result<std::unique_ptr<WeightPart>> quantisedPart(const FolderQuantization &form, const GatheredWeight &weight);

} // namespace stepdown
