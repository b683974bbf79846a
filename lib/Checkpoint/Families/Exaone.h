// EXAONE 3 and 3.5: what Llama computes, with halves of a head that rotate together.
#pragma once
#include "lib/Checkpoint/Family.h"

namespace stepdown {

struct Exaone : FamilyDefaults {
  static constexpr const char *architecture = "exaone";
  static constexpr RopePairs pairs = RopePairs::Halves;

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    auto [q, k, v] = b.projections(b.norm(x, "attn_norm"));
    x = b.add(x, b.attention({b.rope(q), b.rope(k), v}));
    return b.add(x, b.gatedMlp(b.norm(x, "ffn_norm"), Builder::Gate::Silu));
  }
};

} // namespace stepdown
