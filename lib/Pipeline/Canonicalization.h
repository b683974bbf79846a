// The canonicaliser of every phase.
#pragma once
#include "mlir/Pass/Pass.h"
#include <memory>

namespace stepdown {

/// MLIR's canonicaliser without the patterns of LLVM 22.1 that change what a program computes.
std::unique_ptr<mlir::Pass> createSoundCanonicalizer();

} // namespace stepdown
