// Phi 3, 3.5 and 4: q, k and v in one tensor, gate and up in another; a head may rotate in part; long files carry
// LongRoPE factors.
#pragma once
#include "lib/Checkpoint/Family.h"

namespace stepdown {

struct Phi3 : FamilyDefaults {
  static constexpr const char *architecture = "phi3";
  static constexpr RopePairs pairs = RopePairs::Halves;
  static constexpr int windowPeriod = kEveryLayer;

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    auto [q, k, v] = b.projections(b.norm(x, "attn_norm"));
    x = b.add(x, b.attention({b.rope(q), b.rope(k), v}));
    return b.add(x, b.fusedGatedMlp(b.norm(x, "ffn_norm"), "ffn_up", Builder::Gate::Silu));
  }
};

} // namespace stepdown
