// OLMo 2: nothing is normed before attention and MLP, but what they give; the whole rows of q and k are normed.
#pragma once
#include "lib/Checkpoint/Family.h"

namespace stepdown {

struct Olmo2 : FamilyDefaults {
  static constexpr const char *architecture = "olmo2";
  static constexpr RopePairs pairs = RopePairs::Halves;

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    auto [q, k, v] = b.projections(x);
    q = b.norm(q, "attn_q_norm");
    k = b.norm(k, "attn_k_norm");
    Rows attended = b.attention({b.rope(q), b.rope(k), v});
    x = b.add(x, b.norm(attended, "post_attention_norm"));
    return b.add(x, b.norm(b.gatedMlp(x, Builder::Gate::Silu), "post_ffw_norm"));
  }
};

} // namespace stepdown
