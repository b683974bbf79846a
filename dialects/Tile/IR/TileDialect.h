// The tile dialect, its attribute, and the questions its operations ask of types.
#pragma once
#include "dialects/Transformer/IR/TransformerDialect.h"

#include "dialects/Tile/IR/TileDialect.h.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/Tile/IR/TileTypes.h.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/Tile/IR/TileAttrs.h.inc"

namespace stepdown::tile {

/// The attribute of a kernel function that holds its TilingAttr, until tile-kernels has cut it.
inline constexpr llvm::StringLiteral kTilingAttr = "tile.tiling";
/// The attribute of a kernel function whose tiles cost unequally: threads take them in turn instead of in ranges.
inline constexpr llvm::StringLiteral kCyclicAttr = "tile.cyclic";
/// The attribute of a kernel that is the same whatever tile of tokens a bucket has.
inline constexpr llvm::StringLiteral kAnyTileAttr = "tile.any_tile";
/// The attribute of a lowered GPU kernel that says how it is launched: its `threads`, its `shared_bytes`, and its
/// `parameters`, each with the number of the tile.kernel's `argument` and what it `holds` of it: its "value", or of a
/// matrix the "map" (a tensor map of tiles of type `box`, 128-byte swizzle, zeros outside; of packed blocks [tiles,
/// pieces of blocks, words], see BlockCopy.h, without a swizzle), "pointer", "stride" (of
/// rows, in elements), "rows" or "columns". Where it shares tiles out among its blocks, `tile` says how high and wide
/// one is, and `over` what they lie in: the argument and the dimension that has its rows, and those of its columns; of
/// a kernel with clusters, `cluster` says how many blocks one has, along x, and `tile` is what all of them go over.
inline constexpr llvm::StringLiteral kLaunchAttr = "tile.launch";
/// The attribute of a tile.kernel of a product whose blocks along y share the sum over k out, so many: the result has
/// the rows of each share's sums behind those of the share before. `tile.launch` has it as `shares`.
inline constexpr llvm::StringLiteral kSharesAttr = "tile.shares";
/// The attribute of a tile.kernel whose blocks run in clusters of so many, a power of two: they take tiles of rows that
/// are neighbours, in the same columns, and what the text copies of those columns is copied once for all of them.
inline constexpr llvm::StringLiteral kClusterAttr = "tile.cluster";
/// The attribute of a kernel of a model on a device: [columns, threads]. It is launched in blocks of so many threads,
/// for each token (or wanted row) as many as have a thread for each column. Of a tile.kernel: [columns of the result,
/// threads, bytes of shared memory, tokens, products]; it is launched once for each tile of so many columns (blocks
/// along x) and tokens (along y) of each of so many products, whose weights are its first arguments and whose results
/// its last. A fifth number left out is 1.
inline constexpr llvm::StringLiteral kGridAttr = "tile.grid";
/// The attribute of a function that attends to a share of a context, or joins shares: [positions of a chunk, shares];
/// on matrix units also the tokens of a block and the lanes of a warp.
inline constexpr llvm::StringLiteral kSplitsAttr = "tile.splits";
/// The attribute of a function of experts on matrix units: [tokens of a tile, 1 where each pair of a token and a rank
/// is one; experts; ranks], which groups pairs, and for products also [work-groups along a token's pairs, work-groups
/// along an expert's rows, rows of one].
inline constexpr llvm::StringLiteral kExpertsAttr = "tile.experts";
/// The attribute of such a kernel's argument: see `bound` of stepdown_parameter in include/stepdown/Artifact.h.
inline constexpr llvm::StringLiteral kBoundAttr = "tile.bound";
/// The attribute of a module that tells of operations for which there are GPU kernels, but none that takes them: of
/// each a string, "OPERATION (FILE:LINE:COLUMN): REASON".
inline constexpr llvm::StringLiteral kUnselectedAttr = "tile.unselected";

/// vector<L x f32> where a layout of lib/Target has L lanes.
bool isLanes(mlir::Type type);

/// What a GPU kernel computes with: a tile in shared memory, a matrix in global memory, a tile in registers.
bool isSharedTile(mlir::Type type);
bool isGlobalMatrix(mlir::Type type);
bool isRegisterTile(mlir::Type type);

/// Bytes of an element of a tile or matrix: a number, or a packed block of a weight.
int64_t elementBytes(mlir::Type element);

/// Limits of one block of threads; those of sm_90 and, where it matters, no more than the other chips have.
inline constexpr int64_t kSharedBytes = 232448, kRegisters = 65536, kThreads = 1024;
/// Bytes of the two barriers of a slot.
inline constexpr int64_t kBarrierBytes = 16;

} // namespace stepdown::tile
