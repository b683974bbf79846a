// Matrix products that the lanes of a warp or wave come to together, one behind the other.
#pragma once
#include "llvm/ADT/ArrayRef.h"
#include "llvm/IR/Instructions.h"

namespace stepdown {

/// Products that lanes may stop for once, at most.
inline constexpr size_t kMostTogether = 16;

/// Whether `call` is an MFMA, a WMMA or an mma.sync.
bool isLanesProduct(const llvm::CallInst &call);
/// Whether behind the last of `products` the next one stands in its block, and nothing in between uses what these give
/// or is an operation that the emulator has a frame for: then lanes need not stop in between.
bool areFollowed(llvm::ArrayRef<llvm::CallInst *> products);

} // namespace stepdown
