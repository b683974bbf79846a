// Which arrays are known to be empty, also where their own types do not say so.
#ifndef STEPDOWN_PASSES_BUFFER_EMPTYARRAYS_H
#define STEPDOWN_PASSES_BUFFER_EMPTYARRAYS_H
#include "mlir/IR/Value.h"

namespace stepdown {
/// Whether `array` has no elements, as its type says or that of an array that it has the sizes of: what was cast to it,
/// what it was written into, or what a loop carries that keeps its sizes. False is "not known". Placing arrays in
/// memory and folding casts make the types of all these one.
bool isKnownEmpty(mlir::Value array);
} // namespace stepdown

#endif
