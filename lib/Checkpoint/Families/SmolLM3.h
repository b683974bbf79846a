// SmolLM 3: Llama, but for every fourth layer, whose heads have no positions (NoPE, arXiv 2501.18795).
#pragma once
#include "lib/Checkpoint/Family.h"

namespace stepdown {

struct SmolLM3 : FamilyDefaults {
  static constexpr const char *architecture = "smollm3";
  static constexpr RopePairs pairs = RopePairs::Adjacent;
  static constexpr int unrotatedPeriod = 4;

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    auto [q, k, v] = b.projections(b.norm(x, "attn_norm"));
    x = b.add(x, b.attention({b.rope(q), b.rope(k), v}));
    return b.add(x, b.gatedMlp(b.norm(x, "ffn_norm"), Builder::Gate::Silu));
  }
};

} // namespace stepdown
