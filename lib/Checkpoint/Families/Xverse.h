// XVERSE: what Llama computes, without experts and windows, as InternLM 2 does.
#pragma once
#include "lib/Checkpoint/Families/InternLm2.h"

namespace stepdown {

struct Xverse : InternLm2 {
  static constexpr const char *architecture = "xverse";
};

} // namespace stepdown
