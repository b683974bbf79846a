// Command R: attention and the MLP read the same norm and are added side by side; layer norms without a bias; a factor
// of the logits. Command R+, whose heads have norms, is refused by their names.
#pragma once
#include "lib/Checkpoint/Family.h"

namespace stepdown {

struct CommandR : FamilyDefaults {
  static constexpr const char *architecture = "command-r";
  static constexpr RopePairs pairs = RopePairs::Adjacent;
  static constexpr Norms norms = Norms::Layer;
  static constexpr bool logitFactor = true;

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    Rows h = b.layerNorm(x, "attn_norm");
    auto [q, k, v] = b.projections(h);
    x = b.add(x, b.attention({b.rope(q), b.rope(k), v}));
    return b.add(x, b.gatedMlp(h, Builder::Gate::Silu));
  }
};

} // namespace stepdown
