// Command R7B (Cohere 2): attention and the MLP read the same norm and are added side by side; layer norms without a
// bias; three window layers, which alone rotate, to one that sees everything; a factor of the logits.
#pragma once
#include "lib/Checkpoint/Family.h"

namespace stepdown {

struct Cohere2 : FamilyDefaults {
  static constexpr const char *architecture = "cohere2";
  static constexpr RopePairs pairs = RopePairs::Adjacent;
  static constexpr int windowPeriod = 4;
  static constexpr Norms norms = Norms::Layer;
  static constexpr bool windowsRotateAlone = true, logitFactor = true;

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    Rows h = b.layerNorm(x, "attn_norm");
    auto [q, k, v] = b.projections(h);
    x = b.add(x, b.attention({b.rope(q), b.rope(k), v}));
    return b.add(x, b.gatedMlp(h, Builder::Gate::Silu));
  }
};

} // namespace stepdown
