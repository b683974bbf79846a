// Qwen 3: every head of q and of k is normed before it rotates; heads are often wider than width / heads.
#pragma once
#include "lib/Checkpoint/Family.h"

namespace stepdown {

struct Qwen3 : FamilyDefaults {
  static constexpr const char *architecture = "qwen3";
  static constexpr RopePairs pairs = RopePairs::Halves;

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    auto [q, k, v] = b.projections(b.norm(x, "attn_norm"));
    q = b.headNorm(q, "attn_q_norm");
    k = b.headNorm(k, "attn_k_norm");
    x = b.add(x, b.attention({b.rope(q), b.rope(k), v}));
    return b.add(x, b.gatedMlp(b.norm(x, "ffn_norm"), Builder::Gate::Silu));
  }
};

} // namespace stepdown
