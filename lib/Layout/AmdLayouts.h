// AMD's layouts: the fragments of MFMA (waves of 64) and WMMA (waves of 32), as AMD's matrix instruction calculator
// prints them.
//
// Of A `row` is m, of B it is n, and `column` is k; of C and D they are m and n. `register` counts the elements that a
// lane holds, in the order of its VGPRs, the low bits first.
#pragma once
#include "lib/Layout/LinearLayout.h"

namespace stepdown::amd {

/// A or B of an MFMA of `rows` (16 or 32) x k: register[k * rows / 64] lane[64]. A lane holds consecutive k.
LinearLayout mfmaOperand(int rows, int k);
/// C and D of an MFMA of 16x16 or 32x32, 32 bits an element.
LinearLayout mfmaAccumulator(int rows);

/// A or B of a WMMA 16x16x16 of RDNA3 (gfx11): both halves of the wave hold all of it.
LinearLayout wmmaOperandGfx11();
/// C and D of RDNA3, 32 bits an element: rows of the halves alternate.
LinearLayout wmmaAccumulatorGfx11();
/// A or B of a WMMA 16x16x16 of RDNA4 (gfx12), 16 or 8 bits an element: a lane holds two registers of
/// consecutive k, then the other half of the wave the next two.
LinearLayout wmmaOperandGfx12(int elementBits);
/// C and D of RDNA4, 32 bits an element.
LinearLayout wmmaAccumulatorGfx12();

} // namespace stepdown::amd
