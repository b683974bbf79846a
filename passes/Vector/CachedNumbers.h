// Numbers of a cache as float32 in registers, and back.
#pragma once
#include "passes/Vector/Emitter.h"

namespace stepdown {

/// What widenCached() leaves out of a number of `element`: a power of two.
double cachedUnit(mlir::Type element);

/// A vector of numbers of `element` (f16, f32, f8E4M3FN) at `pointer` as float32, divided by cachedUnit().
mlir::Value widenCached(Emitter &e, mlir::Type element, mlir::Value pointer);

/// A float32 as bits of f8E4M3FN (i8): to the nearest, ties to even; what is beyond 448, infinity too, is 448, and NaN
/// is NaN.
mlir::Value narrowToE4M3(Emitter &e, mlir::Value number);

} // namespace stepdown
