// Gemma 1: embedding times sqrt(width), a gate of GELU. The stored norm weights include the 1 of (1 + w).
#pragma once
#include "lib/Checkpoint/Family.h"
#include <cmath>

namespace stepdown {

struct Gemma : FamilyDefaults {
  static constexpr const char *architecture = "gemma";
  static constexpr RopePairs pairs = RopePairs::Halves;
  static double embeddingScale(const ModelParameters &p) { return std::sqrt(static_cast<double>(p.width)); }

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    auto [q, k, v] = b.projections(b.norm(x, "attn_norm"));
    x = b.add(x, b.attention({b.rope(q), b.rope(k), v}));
    return b.add(x, b.gatedMlp(b.norm(x, "ffn_norm"), Builder::Gate::GeluTanh));
  }
};

} // namespace stepdown
