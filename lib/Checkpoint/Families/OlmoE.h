// OLMoE: the whole rows of q and k are normed; experts in every layer, whose weights are shares of all.
#pragma once
#include "lib/Checkpoint/Family.h"

namespace stepdown {

struct OlmoE : FamilyDefaults {
  static constexpr const char *architecture = "olmoe";
  static constexpr RopePairs pairs = RopePairs::Halves;
  static constexpr ExpertShares experts = ExpertShares::OfAll;
  static constexpr bool dense = false;

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    auto [q, k, v] = b.projections(b.norm(x, "attn_norm"));
    q = b.norm(q, "attn_q_norm");
    k = b.norm(k, "attn_k_norm");
    x = b.add(x, b.attention({b.rope(q), b.rope(k), v}));
    return b.add(x, b.feedForward(b.norm(x, "ffn_norm"), Builder::Gate::Silu));
  }
};

} // namespace stepdown
