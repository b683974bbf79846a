// What the threads of one launch touch and compute: an abstract run of the function that passes/Packing/ThreadKernels
// makes, in which an index is not a number but the row of numbers that it takes over the whole launch.
#pragma once
#include "dialects/Transformer/IR/TransformerOps.h"
#include "lib/Explain/Dispatches.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

namespace stepdown {

/// Distinct bytes and operations of a launch of `kernel` for the tokens of `load` and the first `columns` columns of
/// its grid. `window`: of the layer's attention, 0 for none. False where the function has another form: then `traffic`
/// has each operand of `dispatch` once, and no operations.
bool measureLaunch(mlir::FunctionOpInterface kernel, transformer::DispatchOp dispatch, const StepLoad &load,
                   uint64_t window, uint64_t columns, DispatchTraffic &traffic);

/// Each operand of `dispatch` once, and no operations.
void measureOperands(mlir::FunctionOpInterface kernel, transformer::DispatchOp dispatch, const StepLoad &load,
                     DispatchTraffic &traffic);

} // namespace stepdown
