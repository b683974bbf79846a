// XVERSE: what Llama computes.
#pragma once
#include "lib/Checkpoint/Family.h"

namespace stepdown {

struct Xverse : FamilyDefaults {
  static constexpr const char *architecture = "xverse";
  static constexpr RopePairs pairs = RopePairs::Adjacent;

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    auto [q, k, v] = b.projections(b.norm(x, "attn_norm"));
    x = b.add(x, b.attention({b.rope(q), b.rope(k), v}));
    return b.add(x, b.gatedMlp(b.norm(x, "ffn_norm"), Builder::Gate::Silu));
  }
};

} // namespace stepdown
