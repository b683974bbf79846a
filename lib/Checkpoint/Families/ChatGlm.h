// ChatGLM 2 and 3, GLM 4 (9B, 2024): part of a head rotates, q, k and v in one tensor, gate and up in another.
#pragma once
#include "lib/Checkpoint/Family.h"

namespace stepdown {

struct ChatGlm : FamilyDefaults {
  static constexpr const char *architecture = "chatglm";
  static constexpr RopePairs pairs = RopePairs::Adjacent;

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    auto [q, k, v] = b.projections(b.norm(x, "attn_norm"));
    x = b.add(x, b.attention({b.rope(q), b.rope(k), v}));
    return b.add(x, b.fusedGatedMlp(b.norm(x, "ffn_norm"), "ffn_up", Builder::Gate::Silu));
  }
};

} // namespace stepdown
