// StarCoder 2: layer norms, an MLP without a gate, and biases in every linear unless its training said none.
#pragma once
#include "lib/Checkpoint/Family.h"

namespace stepdown {

struct StarCoder2 : FamilyDefaults {
  static constexpr const char *architecture = "starcoder2";
  static constexpr RopePairs pairs = RopePairs::Halves;
  static constexpr int windowPeriod = kEveryLayer;
  static constexpr Norms norms = Norms::LayerBiased;

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    auto [q, k, v] = b.projections(b.layerNorm(x, "attn_norm"));
    x = b.add(x, b.attention({b.rope(q), b.rope(k), v}));
    return b.add(x, b.mlp(b.layerNorm(x, "ffn_norm"), Builder::Gate::GeluTanh));
  }
};

} // namespace stepdown
