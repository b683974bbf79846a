// What roles do with channels, and what they leave in flight.
#pragma once
#include "dialects/Tile/IR/TileOps.h"

namespace stepdown::tile {

/// C4 and C5 of tile.kernel, as diagnostics at the operation that breaks them.
mlir::LogicalResult checkProtocol(KernelOp kernel);

} // namespace stepdown::tile
