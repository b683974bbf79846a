// Blocks to pack, of every storage type that there is.
#pragma once
#include "lib/Checkpoint/BlockFormat.h"
#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace stepdown::test {

inline const char *const kTypes[] = {"f32",    "f16",   "bf16",  "q4_0",    "q4_1",  "q5_0",    "q5_1",
                                     "q8_0",   "q2_k",  "q3_k",  "q4_k",    "q5_k",  "q6_k",    "iq4_nl",
                                     "iq4_xs", "mxfp4", "nvfp4", "iq3_xxs", "iq3_s", "iq2_xxs", "iq2_xs",
                                     "iq2_s",  "iq1_s", "iq1_m", "tq1_0",   "tq2_0", "q2_0",    "q1_0"};

/// Random blocks whose values are all finite: [count * elements] values.
inline std::vector<uint8_t> randomBlocks(const BlockFormat &format, size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<uint8_t> bytes(count * format.bytes);
  std::vector<float> values(format.elements);
  for (size_t b = 0; b < count; ++b) {
    uint8_t *block = bytes.data() + b * format.bytes;
    do {
      for (int i = 0; i < format.bytes; ++i)
        block[i] = static_cast<uint8_t>(random());
      decode(format, block, 1, values.data());
    } while (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); }));
  }
  return bytes;
}

} // namespace stepdown::test
