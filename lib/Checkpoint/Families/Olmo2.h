// OLMo 2 and 3: nothing is normed before attention and MLP, but what they give; the whole rows of q and k are normed.
// OLMo 3 has three window layers, without its rotary scaling, to one that sees everything.
#pragma once
#include "lib/Checkpoint/Family.h"

namespace stepdown {

struct Olmo2 : FamilyDefaults {
  static constexpr const char *architecture = "olmo2";
  static constexpr RopePairs pairs = RopePairs::Halves;
  static constexpr int windowPeriod = 4;
  static constexpr bool localScaled = false;

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
