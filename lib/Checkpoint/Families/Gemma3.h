// Gemma 3: embedding times sqrt(width), norms of the heads of q and k, norms after attention and MLP, five window
// layers (with a rotary base of their own) to one that sees everything. The stored norm weights include the 1 of (1 +
// w).
#pragma once
#include "lib/Checkpoint/Family.h"
#include <cmath>

namespace stepdown {

struct Gemma3 : FamilyDefaults {
  static constexpr const char *architecture = "gemma3";
  static constexpr RopePairs pairs = RopePairs::Halves;
  static constexpr int windowPeriod = 6;
  static constexpr bool localRope = true;
  static constexpr double logitCap = 0;

  /// The 27B, the one with 62 layers, scales by the width that its heads would have had.
  static double scoreWidth(const ModelParameters &p) {
    return p.layers == 62 ? static_cast<double>(p.width) / p.heads[0] : p.headSize;
  }
  static double embeddingScale(const ModelParameters &p) { return std::sqrt(static_cast<double>(p.width)); }

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    auto [q, k, v] = b.projections(b.norm(x, "attn_norm"));
    q = b.headNorm(q, "attn_q_norm");
    k = b.headNorm(k, "attn_k_norm");
    Rows attended = b.attention({b.rope(q), b.rope(k), v});
    x = b.add(x, b.norm(attended, "post_attention_norm"));
    Rows mlp = b.gatedMlp(b.norm(x, "ffn_norm"), Builder::Gate::GeluTanh);
    return b.add(x, b.norm(mlp, "post_ffw_norm"));
  }
};

} // namespace stepdown
