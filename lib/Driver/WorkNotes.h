// So that a fault inside a pass can say which one, on what function, and inside a pattern on which operation of it.
#pragma once
#include "mlir/Pass/PassManager.h"

namespace stepdown {

/// Notes of each pass that `manager` runs what it is, and on what (lib/Base/PartFile.h).
void notePasses(mlir::PassManager &manager);

/// Notes of each pattern that is tried in `context` its name and its operation, with the place where that was written.
void notePatterns(mlir::MLIRContext &context);

} // namespace stepdown
