// Lets one-shot bufferization see through the tile operations.
#pragma once
namespace mlir {
class DialectRegistry;
}
namespace stepdown::tile {
void registerTileBufferization(mlir::DialectRegistry &registry);
}
