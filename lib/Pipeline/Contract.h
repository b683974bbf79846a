// The contract of a phase: only the dialects of its row are left.
#pragma once
#include "lib/Pipeline/Phases.h"
#include <memory>

namespace stepdown {
/// A pass that fails, naming phase, function, operation and what was allowed, where `phase` of `road` left anything
/// else.
std::unique_ptr<mlir::Pass> createContractCheck(const Road &road, const Phase &phase);
} // namespace stepdown
