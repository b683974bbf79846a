// Floats to blocks: the other direction of BlockFormat.h. Blocks of 32 are the bits that gguf 0.19.0 (gguf/quants.py)
// writes. Blocks of 256, for which no reference is exact, are chosen for the least sum of squares between what is meant
// and what the block decodes to: a scale and a minimum for each group by trial and least squares, then those of the
// block, then codes once more for what the block keeps of both.
#pragma once
#include "lib/Checkpoint/BlockFormat.h"

namespace stepdown {

/// Whether there is an encoder for `storage`: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K.
bool hasEncoder(Storage storage);

/// Writes `blocks` blocks of `storage`, which has an encoder, for `blocks` * elements finite numbers.
void encode(Storage storage, const float *values, size_t blocks, uint8_t *out);

} // namespace stepdown
