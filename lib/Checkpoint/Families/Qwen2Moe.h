// Qwen 1.5 and 2 with experts: biases on q, k and v; weights that are shares of all experts, and beside them one expert
// that every token has, weighed by the sigmoid of a number of its own.
#pragma once
#include "lib/Checkpoint/Family.h"

namespace stepdown {

struct Qwen2Moe : FamilyDefaults {
  static constexpr const char *architecture = "qwen2moe";
  static constexpr RopePairs pairs = RopePairs::Halves;
  static constexpr bool projectionBias = true;
  static constexpr ExpertShares experts = ExpertShares::OfAll;
  static constexpr bool dense = false, sharedExpert = true;

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    auto [q, k, v] = b.projections(b.norm(x, "attn_norm"));
    x = b.add(x, b.attention({b.rope(q), b.rope(k), v}));
    return b.add(x, b.feedForward(b.norm(x, "ffn_norm"), Builder::Gate::Silu));
  }
};

} // namespace stepdown
