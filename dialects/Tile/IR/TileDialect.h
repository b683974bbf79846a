// The tile dialect, its attribute, and the questions its operations ask of types.
#pragma once
#include "dialects/Transformer/IR/TransformerDialect.h"

#include "dialects/Tile/IR/TileDialect.h.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/Tile/IR/TileAttrs.h.inc"

namespace stepdown::tile {

/// The attribute of a kernel function that holds its TilingAttr, until tile-kernels has cut it.
inline constexpr llvm::StringLiteral kTilingAttr = "tile.tiling";
/// The attribute of a kernel function whose tiles cost unequally: threads take them in turn instead of in ranges.
inline constexpr llvm::StringLiteral kCyclicAttr = "tile.cyclic";

/// vector<L x f32> where a layout of lib/Target has L lanes.
bool isLanes(mlir::Type type);

} // namespace stepdown::tile
