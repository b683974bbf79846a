// What writing a tile kernel for NVIDIA's chips has in common: parameters, the thread, elementwise operations, and
// stores of pairs.
#pragma once
#include "lib/Kernels/TileEmitter.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/NVIDIA/Passes.h"

namespace stepdown::nvidia {

class ThreadEmitter : protected TileEmitter {
protected:
  /// A matrix in global memory: its tensor map, or where it begins and how far its rows lie apart in elements (i64), or
  /// both; its rows and columns (i32).
  struct Matrix {
    Value map, pointer, stride, rows, columns;
    static constexpr Value Matrix::*kParts[] = {&Matrix::map, &Matrix::pointer, &Matrix::stride, &Matrix::rows,
                                                &Matrix::columns};
  };

  ThreadEmitter(tile::KernelOp kernel, const char *chip, mlir::LLVM::LLVMFuncOp function)
      : TileEmitter(kernel, chip), chip(chip), kernel(kernel), function(function) {}

  Value blockIndex(int axis) override;
  Value blockCount(int axis) override;

  /// Shared memory, the thread, its warp and its lane.
  void identifyThread();
  Value shared(Value offset, int64_t more = 0);
  mlir::LogicalResult sizeOf(mlir::memref::DimOp op);
  void load(tile::EntryOp op);

  /// One operation of a map's region on one element. Powers and quotients are those of the special function unit,
  /// without subnormal numbers: 2 units in the last place of 2^x and one of 1/y (CUDA's tables of exp2f and __frcp),
  /// where exact ones would be calls with products in flight.
  Value mapped(mlir::Operation &op, mlir::IRMapping &elements);

  /// Two float32 as a pair of bf16 or f16, to the nearest, ties to even.
  Value narrowed(mlir::Type element, Value low, Value high);

  /// Where an element that a thread holds is, from the thread's first.
  struct Place {
    int64_t row, column;
  };
  /// Element `at` of a piece of a matrix, from global memory, where the thread's first is at (row, column) of the
  /// piece.
  Value readElement(tile::ReadOp op, Value row, Value column, Place at);
  /// The elements of the result's tile, of which 2 i and 2 i + 1 are neighbours of a row: pairs go out as one where the
  /// whole tile is inside and none begins at an odd place. The thread's first element is at (row, column) of the tile.
  /// Errors, as diagnostics: elements that are not f32, stored as something else than f32, bf16 or f16; i32 is stored
  /// as it is.
  mlir::LogicalResult storePairs(tile::StoreOp op, Value row, Value column, llvm::function_ref<Place(int64_t)> placeOf);

  // EmitWarp.cpp: of chips whose warps copy and multiply.
  /// Where the thread's pieces of tiles are, of elements of so many bytes.
  void prepareCopies(int64_t bytes);
  /// Issues the thread's copies of a tile to `to` and `offset`, bytes of shared memory; zeros for what lies outside.
  void copyTile(tile::CopyOp op, Value to, int64_t offset, int64_t threads);
  /// Four matrices of 8 x 8 of 16 bits, whose rows the lanes name: a word of each.
  mlir::SmallVector<Value> loadMatrices(Value from, int64_t offset, bool transposed);
  /// `sum` of 16 x 8, four numbers of a thread, with one product of `left` (four words) and `right` (two) added.
  void multiplyWarp(mlir::Type element, mlir::ArrayRef<Value> left, mlir::ArrayRef<Value> right,
                    mlir::MutableArrayRef<Value> sum);

  const char *chip;
  tile::KernelOp kernel;
  mlir::LLVM::LLVMFuncOp function;
  llvm::DenseMap<Value, Matrix> matrices;
  // Of the block: its shared memory as a pointer and as an address. Of the thread: its number in the block, its warp in
  // that, and its number in the warp.
  Value base, address, inBlock, warp, lane;
  Value copyRow, copyColumn,
      copyTo; ///< of the thread's first piece of a tile: row, column, bytes in a block of columns
};

} // namespace stepdown::nvidia
