// Gemma 2: embedding times sqrt(width), norms after attention and MLP, soft caps of scores and logits, and a window in
// every second layer. The stored norm weights include the 1 of (1 + w).
#pragma once
#include "lib/Checkpoint/Family.h"
#include <cmath>

namespace stepdown {

struct Gemma2 : FamilyDefaults {
  static constexpr const char *architecture = "gemma2";
  static constexpr RopePairs pairs = RopePairs::Halves;
  static constexpr int windowPeriod = 2;
  static constexpr uint32_t window = 4096; // this and the caps, of files from before there were keys for them
  static constexpr double logitCap = 30, scoreCap = 50;

  /// The 27B, the one with 46 layers, scales by the width that its heads would have had.
  static double scoreWidth(const ModelParameters &p) {
    return p.layers == 46 ? static_cast<double>(p.width) / p.heads[0] : p.headSize;
  }
  static double embeddingScale(const ModelParameters &p) { return std::sqrt(static_cast<double>(p.width)); }

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    auto [q, k, v] = b.projections(b.norm(x, "attn_norm"));
    x = b.add(x, b.norm(b.attention({b.rope(q), b.rope(k), v}), "post_attention_norm"));
    Rows mlp = b.gatedMlp(b.norm(x, "ffn_norm"), Builder::Gate::GeluTanh);
    return b.add(x, b.norm(mlp, "post_ffw_norm"));
  }
};

} // namespace stepdown
