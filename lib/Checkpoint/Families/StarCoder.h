// StarCoder 1: GPT-2 with one head of keys and values.
#pragma once
#include "lib/Checkpoint/Families/Gpt2.h"

namespace stepdown {

struct StarCoder : Gpt2 {
  static constexpr const char *architecture = "starcoder";
};

} // namespace stepdown
