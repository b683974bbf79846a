// The storage types that keep several codes as one number: the place of a point in a list that the format fixes.
#pragma once
#include "lib/Checkpoint/BlockFormat.h"

namespace stepdown {

/// readFields() of iq1_s, iq1_m, iq2_xxs, iq2_xs, iq2_s, iq3_xxs and iq3_s: all of `fields` but minimums.
void readGridFields(Storage storage, const uint8_t *bytes, BlockFields &fields);

} // namespace stepdown
