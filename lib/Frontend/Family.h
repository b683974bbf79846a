// A model family: what is particular to it, as one declaration in Families/<Name>.cpp.
#pragma once
#include "lib/Checkpoint/ModelParameters.h"
#include "lib/Frontend/LayerBuilder.h"

namespace stepdown {

struct FamilyDescription {
  Family family;
  /// Multiplies the rows of the embedding.
  double (*embeddingScale)(const ModelParameters &);
  /// The residual stream after one layer, for the stream `x` before it.
  mlir::Value (*layer)(LayerBuilder &layer, mlir::Value x);
};

extern const FamilyDescription llamaFamily, qwen2Family, qwen3Family, gemma3Family, phi3Family;

/// The description of `family`, or null when there is none.
const FamilyDescription *familyDescription(Family family);

} // namespace stepdown
