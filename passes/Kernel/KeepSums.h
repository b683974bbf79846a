// What a thread adds up stays in registers.
#pragma once
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace stepdown {

/// `outer` and the loops in it, each alone in the one around it, in which elements of fixed places are read, changed
/// and stored once a turn: they are read before `outer`, carried by the loops, and stored behind. No other array of the
/// loops may share memory with theirs, which bufferization sees to: what a reduction adds to is none of its inputs.
/// Returns how many elements are carried.
unsigned keepSums(mlir::RewriterBase &rewriter, mlir::scf::ForOp outer);

} // namespace stepdown
