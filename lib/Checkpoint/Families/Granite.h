// Granite 3 (dense): Llama, with numbers of the file that multiply the embedding, the scores and both residual
// branches, and one that divides the logits.
#pragma once
#include "lib/Checkpoint/Family.h"

namespace stepdown {

struct Granite : FamilyDefaults {
  static constexpr const char *architecture = "granite";
  static constexpr RopePairs pairs = RopePairs::Adjacent;
  static constexpr bool multipliers = true;

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    auto [q, k, v] = b.projections(b.norm(x, "attn_norm"));
    x = b.add(x, b.attention({b.rope(q), b.rope(k), v}));
    return b.add(x, b.gatedMlp(b.norm(x, "ffn_norm"), Builder::Gate::Silu));
  }
};

} // namespace stepdown
