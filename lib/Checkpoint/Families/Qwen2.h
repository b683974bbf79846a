// Qwen 2 and 2.5: biases on q, k and v; the halves of a head rotate together.
#pragma once
#include "lib/Checkpoint/Family.h"

namespace stepdown {

struct Qwen2 : FamilyDefaults {
  static constexpr const char *architecture = "qwen2";
  static constexpr RopePairs pairs = RopePairs::Halves;
  static constexpr bool projectionBias = true;

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    auto [q, k, v] = b.projections(b.norm(x, "attn_norm"));
    x = b.add(x, b.attention({b.rope(q), b.rope(k), v}));
    return b.add(x, b.gatedMlp(b.norm(x, "ffn_norm"), Builder::Gate::Silu));
  }
};

} // namespace stepdown
