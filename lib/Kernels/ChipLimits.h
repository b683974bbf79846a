// What tile kernels a chip can have: THE table, and how a kernel that a chip cannot have is refused, with a number, so
// that no later pass and no backend has to. Each refusal says what was expected on which chip, and what would fit.
#pragma once
#include "dialects/Tile/IR/TileOps.h"
#include "lib/Base/Result.h"
#include "lib/Target/Chips.h"

namespace stepdown {

/// Whether the matrix unit of `chip` multiplies `element`s in tile kernels.
bool multiplies(llvm::StringRef chip, mlir::Type element);

/// A diagnostic at an operation of a kernel that begins with the number of `code`, as numberOf finds it: E1018 for a
/// form or a tile that a chip has no code for.
mlir::InFlightDiagnostic unfit(mlir::Operation *op, ErrorCode code = ErrorCode::KernelTile);
/// The error of a kernel's text at `loc`, as a diagnostic that begins with its number.
mlir::InFlightDiagnostic unfit(mlir::Location loc, const Error &error);
/// The code that `said` has a number of, which is taken out of it; `otherwise` where it has none.
ErrorCode numberOf(std::string &said, ErrorCode otherwise);

/// E1016 for a product of elements that the chip does not multiply, or with sums of another type than f32 or, of
/// integers, i32.
mlir::LogicalResult checkElements(tile::MmaOp product, llvm::StringRef chip);

/// E1018 for a kernel in clusters of more blocks than the chip runs together.
mlir::LogicalResult checkCluster(tile::KernelOp kernel, llvm::StringRef chip);

/// The slots of a kernel, as a refusal of checkMemory speaks of them.
struct SlotsOfKernel {
  int64_t count, bytes;               ///< how many there are, and bytes of each
  bool anyCount = false;              ///< whether another number of them, at least two, is a kernel as well
  const char *others = "other rings"; ///< what takes the bytes that they do not
};

/// E1017 for more than the chip's shared memory, or LDS: `bytes`, of which `slots` are some. Says how many slots, or of
/// how many bytes, would fit, where any would.
mlir::LogicalResult checkMemory(tile::KernelOp kernel, const ChipFacts &chip, int64_t bytes,
                                const SlotsOfKernel &slots);

} // namespace stepdown
