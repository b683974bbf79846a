// BERT: an encoder, in which each token sees the whole text. Positions and the segment (always the first) are learned
// vectors that are added to the embedding; layer norms stand behind each sum.
#pragma once
#include "lib/Checkpoint/Family.h"

namespace stepdown {

struct Bert : FamilyDefaults {
  static constexpr const char *architecture = "bert";
  static constexpr RopePairs pairs = RopePairs::Halves;
  static constexpr Norms norms = Norms::LayerBiased;
  static constexpr bool learnedPositions = true, encoder = true;
  static constexpr int unrotatedPeriod = 1;

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    auto [q, k, v] = b.projections(x);
    x = b.layerNorm(b.add(x, b.attention({q, k, v})), "attn_output_norm");
    return b.layerNorm(b.add(x, b.mlp(x, Builder::Gate::GeluErf)), "layer_output_norm");
  }
};

} // namespace stepdown
