// StarCoder 1: GPT-2 with one head of keys and values.
#pragma once
#include "lib/Checkpoint/Family.h"

namespace stepdown {

struct StarCoder : FamilyDefaults {
  static constexpr const char *architecture = "starcoder";
  static constexpr RopePairs pairs = RopePairs::Halves;
  static constexpr bool projectionBias = true, learnedPositions = true;
  static constexpr Norms norms = Norms::LayerBiased;
  static constexpr int unrotatedPeriod = 1;

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    x = b.add(x, b.attention(b.projections(b.layerNorm(x, "attn_norm"))));
    return b.add(x, b.mlp(b.layerNorm(x, "ffn_norm"), Builder::Gate::GeluTanh));
  }
};

} // namespace stepdown
