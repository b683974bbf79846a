// EXAONE 3 and 3.5: InternLM 2 with halves of a head that rotate together.
#pragma once
#include "lib/Checkpoint/Families/InternLm2.h"

namespace stepdown {

struct Exaone : InternLm2 {
  static constexpr const char *architecture = "exaone";
  static constexpr RopePairs pairs = RopePairs::Halves;
};

} // namespace stepdown
