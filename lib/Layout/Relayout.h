// How to bring a tile from one register layout into another: steps and their cost, from the matrices.
//
// The idea. Which lane and register must a lane's register come from? pull = rightInverse(from) o to answers it for all
// of them: (register, lane, warp) -> (register, lane, warp). Where pull keeps lane and warp, registers are renamed.
// Where it keeps the warp, lanes exchange: a shuffle moves one register of every lane, each lane reading another, so in
// one round no lane may be asked for two registers. Let round t give lane l the register t ^ G l; the lane it reads is
// then P t + (P G + Q) l with P, Q the blocks of pull that say how the lane depends on register and lane, and a G that
// makes P G + Q invertible exists exactly when every lane is read at all. What a lane offers in a round, and where it
// puts what it got, then depends on the lane: selections before and after. Where warps exchange, the tile goes through
// shared memory.
#pragma once
#include "lib/Layout/SharedAccess.h"

namespace stepdown {

struct RelayoutStep {
  enum class Kind {
    Registers, ///< register lane -> register: the lane's own register from which each register is taken
    Shuffle,   ///< register lane -> lane: the lane from which each register is taken, of the same number
    Store,     ///< register lane warp -> offset: every register to shared memory, bytes
    Barrier,   ///< of all warps
    Load,      ///< register lane warp -> offset: every register from shared memory, bytes
  };
  Kind kind;
  LinearLayout map;    ///< empty for Barrier
  int64_t cost = 0;    ///< instructions that a warp issues, or wavefronts of shared memory where these are more
  int accessBytes = 0; ///< of a lane's store or load
};

struct Relayout {
  std::vector<RelayoutStep> steps; ///< none: the layouts are the same
  int64_t cost = 0;
  int64_t sharedBytes = 0; ///< that the exchange takes
  /// One line: "registers 0, shuffle 16, registers 8: 24".
  std::string str() const;
};

/// The cheapest conversion that is known between two layouts of the same outputs, from inputs register, lane and warp
/// (which may lack). Through shared memory, the outputs lie with one of them contiguous and rows padded as conflicts
/// want. None where the outputs differ or one layout does not reach them all.
std::optional<Relayout> relayout(const LinearLayout &from, const LinearLayout &to, int elementBits);

} // namespace stepdown
