// GLM 4 (0414): part of a head rotates, gate and up in one tensor, norms after attention and MLP too.
#pragma once
#include "lib/Checkpoint/Family.h"

namespace stepdown {

struct Glm4 : FamilyDefaults {
  static constexpr const char *architecture = "glm4";
  static constexpr RopePairs pairs = RopePairs::Adjacent;

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    auto [q, k, v] = b.projections(b.norm(x, "attn_norm"));
    x = b.add(x, b.norm(b.attention({b.rope(q), b.rope(k), v}), "post_attention_norm"));
    Rows mlp = b.fusedGatedMlp(b.norm(x, "ffn_norm"), "ffn_up", Builder::Gate::Silu);
    return b.add(x, b.norm(mlp, "post_ffw_norm"));
  }
};

} // namespace stepdown
