// Llama 1 to 3, and what ships in its files: Mistral, SmolLM, TinyLlama, and with experts Mixtral. The converter
// permutes the rows of q and k so that adjacent columns rotate together.
#pragma once
#include "lib/Checkpoint/Family.h"

namespace stepdown {

struct Llama : FamilyDefaults {
  static constexpr const char *architecture = "llama";
  static constexpr RopePairs pairs = RopePairs::Adjacent;
  static constexpr int windowPeriod = kEveryLayer;
  static constexpr ExpertShares experts = ExpertShares::OfChosen;

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    auto [q, k, v] = b.projections(b.norm(x, "attn_norm"));
    x = b.add(x, b.attention({b.rope(q), b.rope(k), v}));
    return b.add(x, b.feedForward(b.norm(x, "ffn_norm"), Builder::Gate::Silu));
  }
};

} // namespace stepdown
