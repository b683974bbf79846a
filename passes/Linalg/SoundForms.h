// Operations of plain modules that LLVM 22's own passes compute wrongly in the form in which people write them.
#pragma once
#include "mlir/IR/BuiltinOps.h"

namespace stepdown {

/// Gives every such operation of the functions of `module` a form that they compute rightly, before any pass of theirs
/// has seen it: elementwise operations on tensors and linalg.map as linalg.generic, tensor.insert_slice with a source
/// of all dimensions, slices in steps with a result of all, no transposition that moves nothing, no reshape of nothing,
/// integer arithmetic without promises, elementary functions that nobody folds, scf.index_switch on numbers of 32 bits.
void giveSoundForms(mlir::ModuleOp module);

} // namespace stepdown
