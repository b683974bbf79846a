// ERNIE 4.5 (dense): what Llama computes, without experts and windows, as InternLM 2 does.
#pragma once
#include "lib/Checkpoint/Families/InternLm2.h"

namespace stepdown {

struct Ernie45 : InternLm2 {
  static constexpr const char *architecture = "ernie4_5";
};

} // namespace stepdown
