// What attention that is shared out among blocks of threads touches and computes (passes/Packing/SplitAttention.cpp).
#pragma once
#include "dialects/Transformer/IR/TransformerOps.h"
#include "lib/Explain/Dispatches.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

namespace stepdown {

/// Of a launch of `kernel`, which has `tile.splits`, for the tokens of `load`; `window`: of the layer's attention, 0
/// for none.
DispatchTraffic measureSplits(mlir::FunctionOpInterface kernel, transformer::DispatchOp dispatch, const StepLoad &load,
                              uint64_t window);

} // namespace stepdown
