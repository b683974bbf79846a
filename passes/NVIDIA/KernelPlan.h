// What a block of threads is made of: shared memory, barriers, warps, and the parameters of the launch.
#pragma once
#include "lib/Kernels/ShareEmitter.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SmallPtrSet.h"
#include <array>
#include <optional>

namespace stepdown::nvidia {

inline constexpr int64_t kWarpgroup = 128, kWarp = 32;
/// Named barriers of a block.
inline constexpr int64_t kNamedBarriers = 16;

/// A ring in shared memory. Slot s has its tiles from `offset + s * slotBytes` on, and the barriers `full + 8 s`, on
/// which the copies into it arrive, and `empty + 8 s`, on which the warpgroups that have read it do.
struct ChannelPlan {
  int64_t offset, slotBytes, full, empty;
  mlir::SmallVector<int64_t> tiles; ///< of each tile of the payload, bytes from the slot's begin
  bool unpacked;                    ///< lanes read slots themselves: each warp releases them, else each warpgroup
  int64_t readers;                  ///< warps or warpgroups that release a slot
};

/// Where a role's results wait for TMA to write them: each of its warpgroups has `boxes` boxes of kStageBytes, those of
/// the first from `offset` on, and a named barrier, the first one's `firstBarrier`.
struct StagePlan {
  int64_t offset, boxes, firstBarrier;
};

struct RolePlan {
  int64_t firstWarp;
  bool single;       ///< copies only: one thread does it
  int64_t firstTurn; ///< the named barrier of its first warpgroup's turn, others' behind it; 0 where none takes turns
  std::optional<StagePlan> stage;
};

/// How an argument enters: a matrix that is copied from as a tensor map, one that is stored to or read from as a
/// pointer with the distance of its rows in elements (i64), both with their sizes (i32). One that is stored to by TMA
/// is both: where no tensor map describes it, its map is zeros, and stores go by the pointer. A matrix of packed blocks
/// of weights is a tensor map alone, of words of 8 bytes [tiles, pieces of blocks, words of a piece].
struct ArgumentPlan {
  mlir::MemRefType box; ///< of the tensor map: one block of the tile, or of the result; null where there is none
  bool pointer;
  bool staged = false; ///< stored to by TMA
};

struct KernelPlan {
  llvm::MapVector<mlir::Operation *, ChannelPlan> channels;
  llvm::MapVector<mlir::Operation *, RolePlan> roles;
  llvm::SmallPtrSet<mlir::Operation *, 2> staged; ///< stores by TMA
  int64_t cluster = 1;                            ///< blocks
  llvm::SmallPtrSet<mlir::Operation *, 2> shared; ///< copies that the blocks of a cluster do together, for all of them
  std::optional<SharedSum> sum;                   ///< that blocks along y share out
  mlir::SmallVector<ArgumentPlan> arguments;
  int64_t threads, sharedBytes;
  int64_t registers;                    ///< of each thread before roles give and take
  std::array<int64_t, 2> tile = {0, 0}; ///< rows and columns that a turn of the schedule goes over; 0 without one
  mlir::SmallVector<int64_t> over;      ///< argument and dimension of these rows, and of these columns
};

/// Errors, as diagnostics at the operation: a tile or a product that sm_90a has no form for; too much shared memory.
mlir::FailureOr<KernelPlan> planKernel(tile::KernelOp kernel);

/// Columns of one instruction: the largest multiple of 8 up to 256 that divides the sum's.
int64_t instructionColumns(mlir::VectorType sum);

/// The box that a store by TMA writes at once: 64 rows of 128 bytes.
mlir::MemRefType stageBox(tile::StoreOp store);

/// Whether `role` unpacks weights: then a thread's rows of tiles in registers are neighbours, as packed blocks have
/// them, and not eight apart.
bool unpacks(tile::RoleOp role);

} // namespace stepdown::nvidia
