// What stepdown-opt knows beyond MLIR's own dialects and passes.
#pragma once

namespace mlir {
class DialectRegistry;
}

namespace stepdown {

/// Adds every dialect of the project to `registry`.
void registerDialects(mlir::DialectRegistry &registry);

/// Registers the passes of every stage, and the pipelines of the phases, for the command line.
void registerPasses();

} // namespace stepdown
