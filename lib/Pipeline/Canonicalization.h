// The canonicaliser of every phase.
#pragma once
#include "mlir/Pass/Pass.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include <memory>

namespace stepdown {

/// What is done to the blocks of a function beside rewriting its operations, as MLIR has it: that is most of what a
/// canonicaliser costs where little is left to rewrite. In kernels, which we generate, it finds nothing.
using Regions = mlir::GreedySimplifyRegionLevel;

/// MLIR's canonicaliser without the patterns of LLVM 22.1 that change what a program computes.
std::unique_ptr<mlir::Pass> createSoundCanonicalizer(Regions regions = Regions::Aggressive);

} // namespace stepdown
