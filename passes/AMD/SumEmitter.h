// What is done with the sums of a product in registers, whatever the product: maps, and what they read beside them.
#pragma once
#include "passes/AMD/WaveEmitter.h"

namespace stepdown::amd {

class SumEmitter : protected WaveEmitter {
protected:
  /// A wave has sums of `blocksDown` x `blocksAcross` instructions.
  SumEmitter(tile::KernelOp kernel, const Chip &chip, int64_t threads, mlir::LLVM::LLVMFuncOp function,
             int64_t blocksDown, int64_t blocksAcross)
      : WaveEmitter(kernel, chip, threads, function), blocksDown(blocksDown), blocksAcross(blocksAcross) {}

  /// Where an element of a lane is in the tile, beside the lane's own place (laneRow, and a column of firstColumn's).
  struct Held {
    int64_t row, column;
  };
  /// A lane's way through a matrix: elements to the next row and column, and to the lane's own.
  struct Read {
    mlir::Type element;
    Value buffer, stride, next, first;
    Value column, columns; ///< of a matrix whose columns lie along the tile's rows: the lane's, and how many there are
  };
  /// The wave's and the lane's place in the tile, of waves that share it out in this many columns.
  void placeSums(int64_t waveColumns);
  int64_t elements() const { return blocksDown * blocksAcross * chip.sums(); }
  Held held(int64_t element) const;
  /// The elements that a lane has of sums, one sum behind the other.
  mlir::SmallVector<Value> elementsOf(mlir::ValueRange sums);
  Read prepareRead(tile::ReadOp op);
  Read prepareTurnedRead(tile::ReadOp op);
  Value readElement(const Read &read, int64_t element);
  void mapElements(tile::MapOp op);

  const int64_t blocksDown, blocksAcross;
  Value firstRow, firstColumn; ///< of the wave, in the tile of the result
  Value laneRow;               ///< the first that the lane holds a sum of
};

} // namespace stepdown::amd
