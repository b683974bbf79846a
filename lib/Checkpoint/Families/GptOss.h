// gpt-oss: sinks, biases in every linear, the router's and the experts' too, a gate that is clamped, experts in every
// layer whose weights are shares of those chosen; every second layer has a window. The norm before the experts has the
// name of one behind attention.
#pragma once
#include "lib/Checkpoint/Family.h"

namespace stepdown {

struct GptOss : FamilyDefaults {
  static constexpr const char *architecture = "gpt-oss";
  static constexpr RopePairs pairs = RopePairs::Halves;
  static constexpr int windowPeriod = 2;
  static constexpr bool projectionBias = true;
  static constexpr ExpertShares experts = ExpertShares::OfChosen;
  static constexpr bool dense = false, expertBias = true, sinks = true;

  template <typename Builder, typename Rows> static Rows layer(Builder &b, Rows x) {
    auto [q, k, v] = b.projections(b.norm(x, "attn_norm"));
    x = b.add(x, b.attention({b.rope(q), b.rope(k), v}));
    return b.add(x, b.feedForward(b.norm(x, "post_attention_norm"), Builder::Gate::ClampedSwish));
  }
};

} // namespace stepdown
