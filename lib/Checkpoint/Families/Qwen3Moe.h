// Qwen 3 with experts in place of the MLP of every layer, whose weights are shares of those chosen.
#pragma once
#include "lib/Checkpoint/Family.h"

namespace stepdown {

struct Qwen3Moe : FamilyDefaults {
  static constexpr const char *architecture = "qwen3moe";
  static constexpr RopePairs pairs = RopePairs::Halves;
  static constexpr ExpertShares experts = ExpertShares::OfChosen;
  static constexpr bool dense = false;

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    auto [q, k, v] = b.projections(b.norm(x, "attn_norm"));
    q = b.headNorm(q, "attn_q_norm");
    k = b.headNorm(k, "attn_k_norm");
    x = b.add(x, b.attention({b.rope(q), b.rope(k), v}));
    return b.add(x, b.feedForward(b.norm(x, "ffn_norm"), Builder::Gate::Silu));
  }
};

} // namespace stepdown
