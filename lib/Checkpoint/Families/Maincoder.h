// Maincoder: every head of q and of k is normed after it rotates.
#pragma once
#include "lib/Checkpoint/Family.h"

namespace stepdown {

struct Maincoder : FamilyDefaults {
  static constexpr const char *architecture = "maincoder";
  static constexpr RopePairs pairs = RopePairs::Adjacent;

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    auto [q, k, v] = b.projections(b.norm(x, "attn_norm"));
    q = b.headNorm(b.rope(q), "attn_q_norm");
    k = b.headNorm(b.rope(k), "attn_k_norm");
    x = b.add(x, b.attention({q, k, v}));
    return b.add(x, b.gatedMlp(b.norm(x, "ffn_norm"), Builder::Gate::Silu));
  }
};

} // namespace stepdown
