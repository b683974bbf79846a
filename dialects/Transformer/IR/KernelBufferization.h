// Lets one-shot bufferization see through the tile operations.
#pragma once
namespace mlir {
class DialectRegistry;
}
namespace stepdown::transformer {
void registerKernelBufferization(mlir::DialectRegistry &registry);
}
