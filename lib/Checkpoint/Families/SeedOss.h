// Seed-OSS: Qwen 2 with heads wider than width / heads; the norm before the MLP is named after attention.
#pragma once
#include "lib/Checkpoint/Family.h"

namespace stepdown {

struct SeedOss : FamilyDefaults {
  static constexpr const char *architecture = "seed_oss";
  static constexpr RopePairs pairs = RopePairs::Halves;

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    auto [q, k, v] = b.projections(b.norm(x, "attn_norm"));
    x = b.add(x, b.attention({b.rope(q), b.rope(k), v}));
    return b.add(x, b.gatedMlp(b.norm(x, "post_attention_norm"), Builder::Gate::Silu));
  }
};

} // namespace stepdown
