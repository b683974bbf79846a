// The body of a structured operation on memrefs, computed for some points of its loops at a time.
#pragma once
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/Builders.h"
#include <map>

namespace stepdown {

/// How an operand moves when one loop advances by one.
enum class Step { Stays, NextElement, Elsewhere };

class StructuredBody {
public:
  using Value = mlir::Value;
  using Values = llvm::SmallVector<Value>;

  explicit StructuredBody(mlir::linalg::LinalgOp op);

  /// Whether the body is arithmetic alone, on elements that vectors hold in memory as arrays do.
  bool isArithmetic() const;
  Step stepOf(mlir::OpOperand &operand, unsigned loop) const;
  /// Lanes that fill 512 bits with the widest element.
  int64_t lanes() const;
  /// For output `which`, the operation that joins a new value with the one so far, or null; so far is then used once.
  mlir::Operation *combiner(unsigned which) const;

  /// Points of the loops: `ivs`, with `rows` steps of loop `rowLoop` and `vectors` steps of `width` of loop `lane`.
  struct Block {
    Values ivs;
    unsigned rowLoop = ~0u, lane = ~0u;
    int64_t rows = 1, vectors = 1, width = 1;
    /// Results that no lane tells apart (the lane's loop is a reduction): outputs are indexed without `lane`.
    int64_t outputs(unsigned count) const { return count * rows * vectors; }
  };

  /// What the output arrays hold at the points of `block`, in the order [output][row][vector].
  Values loadOutputs(mlir::OpBuilder &b, const Block &block);
  /// What the body yields there, given the outputs' values so far (null where the body does not read them).
  Values compute(mlir::OpBuilder &b, const Block &block, mlir::ValueRange soFar);
  void storeOutputs(mlir::OpBuilder &b, const Block &block, mlir::ValueRange values);

  /// Copies what input `operand` holds for every iteration of `loop` at the lanes of `block` into `panel` [loop,
  /// lanes], where compute finds it until `panels` is cleared.
  void pack(mlir::OpBuilder &b, Block &block, mlir::OpOperand &operand, unsigned loop, Value size, Value panel);
  struct Panel {
    Value memory; ///< [iterations of loop, vectors * width]
    unsigned loop;
  };
  std::map<unsigned, Panel> panels; ///< by operand

  mutable mlir::linalg::LinalgOp op; ///< its interface asks without const
  const mlir::Location loc;
  llvm::SmallVector<mlir::AffineMap> maps;
  llvm::SmallVector<mlir::utils::IteratorType> iterators;

private:
  Value indexOf(mlir::OpBuilder &b, const Block &block, unsigned loop, int64_t row, int64_t vector);
  Values indicesOf(mlir::OpBuilder &b, const Block &block, mlir::AffineMap map, int64_t row, int64_t vector);
  Value load(mlir::OpBuilder &b, const Block &block, mlir::OpOperand &operand, int64_t row, int64_t vector);
  Value spread(mlir::OpBuilder &b, Value value, int64_t width);
  Value emit(mlir::OpBuilder &b, const Block &block, mlir::Operation &inner, mlir::ArrayRef<Value> operands,
             int64_t row, int64_t vector);
};

} // namespace stepdown
