// Granite 3 with experts in every layer: the numbers of Granite, and weights that are shares of those chosen.
#pragma once
#include "lib/Checkpoint/Family.h"

namespace stepdown {

struct GraniteMoe : FamilyDefaults {
  static constexpr const char *architecture = "granitemoe";
  static constexpr RopePairs pairs = RopePairs::Adjacent;
  static constexpr bool multipliers = true;
  static constexpr ExpertShares experts = ExpertShares::OfChosen;
  static constexpr bool dense = false;

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    auto [q, k, v] = b.projections(b.norm(x, "attn_norm"));
    x = b.add(x, b.attention({b.rope(q), b.rope(k), v}));
    return b.add(x, b.feedForward(b.norm(x, "ffn_norm"), Builder::Gate::Silu));
  }
};

} // namespace stepdown
