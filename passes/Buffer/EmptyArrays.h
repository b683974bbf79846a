// Which arrays are known to be empty, also where their own types do not say so.
#ifndef STEPDOWN_PASSES_BUFFER_EMPTYARRAYS_H
#define STEPDOWN_PASSES_BUFFER_EMPTYARRAYS_H
#include "mlir/IR/Value.h"
#include "llvm/ADT/DenseMap.h"

namespace stepdown {
/// What is known of the arrays of a function. Each is found out once, so that a chain of n arrays, each written into
/// the one before, takes n steps in all: one of these is for IR that does not change while it is asked.
class EmptyArrays {
public:
  /// Whether `array` has no elements, as its type says or that of an array that it has the sizes of: what was cast to
  /// it, what it was written into, or what a loop carries that keeps its sizes; or of one that it reshapes or is a
  /// slice of. False is "not known". Placing arrays in memory and folding casts make the types of all these one.
  bool isKnown(mlir::Value array);

private:
  llvm::DenseMap<mlir::Value, bool> known;
};
} // namespace stepdown

#endif
