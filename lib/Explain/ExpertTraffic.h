// What products with experts on matrix units, and what groups tokens for them, touch and compute
// (passes/Packing/MatrixExperts.cpp).
#pragma once
#include "dialects/Transformer/IR/TransformerOps.h"
#include "lib/Explain/Dispatches.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

namespace stepdown {

/// Of a launch of `kernel`, which has `tile.experts`, for `tokens` of which each has other experts than those before it
/// while there are any.
DispatchTraffic measureExperts(mlir::FunctionOpInterface kernel, transformer::DispatchOp dispatch, uint64_t tokens);

} // namespace stepdown
