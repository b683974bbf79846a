// Keeps bfloat values that are only moved in integer registers.
#pragma once

namespace llvm {
class Function;
}

namespace stepdown {

/// Loads, stores, phis, selects, casts of bits, and vectors that are put together or taken apart become those of 16-bit
/// integers, where `function` has them of bfloat. A host without bfloat instructions widens vectors of bfloat to move
/// them, from one block to another too, and calls a function (__truncsfbf2) to narrow what it widened.
void moveBFloatAsIntegers(llvm::Function &function);

} // namespace stepdown
