// Maincoder: Hunyuan's layer with adjacent columns that rotate together.
#pragma once
#include "lib/Checkpoint/Families/HunyuanDense.h"

namespace stepdown {

struct Maincoder : HunyuanDense {
  static constexpr const char *architecture = "maincoder";
  static constexpr RopePairs pairs = RopePairs::Adjacent;
};

} // namespace stepdown
