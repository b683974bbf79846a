// Orion: Llama with layer norms.
#pragma once
#include "lib/Checkpoint/Family.h"

namespace stepdown {

struct Orion : FamilyDefaults {
  static constexpr const char *architecture = "orion";
  static constexpr RopePairs pairs = RopePairs::Halves;
  static constexpr Norms norms = Norms::LayerBiased;

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    auto [q, k, v] = b.projections(b.layerNorm(x, "attn_norm"));
    x = b.add(x, b.attention({b.rope(q), b.rope(k), v}));
    return b.add(x, b.gatedMlp(b.layerNorm(x, "ffn_norm"), Builder::Gate::Silu));
  }
};

} // namespace stepdown
