// A product over a long k whose tiles are few (sharesOfSum in passes/Kernel: twice as many blocks are at most 60):
// blocks along y share the sum out, and each share's sums are matrices of their own, one behind the other, which others
// add up in an order that does not change.
#pragma once
#include "lib/Kernels/ProductText.h"
#include "lib/Kernels/TileEmitter.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace stepdown {

/// The product of a kernel whose sum is shared out.
struct SharedSum {
  tile::CopyOp a, b; ///< what fills the tiles of the factors
  bool transposeB;   ///< B has its columns along k
  tile::StoreOp store;
};

/// The same of a product's text. E1018, as a diagnostic: a kernel that does more than to store its sums, as they are.
mlir::FailureOr<SharedSum> sharedSum(tile::KernelOp kernel, const ProductText &text, llvm::StringRef chip);

template <typename Matrix>
mlir::Value TileEmitter::takeShare(const SharedSum &given, int64_t shares, llvm::DenseMap<Value, Matrix> &matrices) {
  SharedSum sum = given; // what operations say of themselves is not const
  auto move = [&](Matrix &matrix, Value rows, Value columns, mlir::MemRefType type) { // i64
    if (!matrix.pointer)
      return;
    Value at = rows ? multiply(rows, matrix.stride) : columns;
    mlir::Type element = b.getIntegerType(type.getElementTypeBitWidth()); // LLVM has no floats of 8 bits
    matrix.pointer = mlir::LLVM::GEPOp::create(b, matrix.pointer.getType(), element, matrix.pointer,
                                               mlir::ArrayRef<mlir::LLVM::GEPArg>{at});
  };
  auto wide = [&](Value value) -> Value { return mlir::arith::ExtSIOp::create(b, b.getI64Type(), value); };
  Matrix &a = matrices[sum.a.getFrom()], &factor = matrices[sum.b.getFrom()], &to = matrices[sum.store.getTo()];
  const int64_t slot = sum.a.getTo().getType().getDimSize(1);
  Value number = blockIndex(1);
  Value slots = binary("arith.divui", add(a.columns, i32(slot * shares - 1)), i32(slot * shares));
  Value each = multiply(slots, i32(slot)), first = multiply(number, each);
  Value &alongB = sum.transposeB ? factor.columns : factor.rows; // A's may be padded
  for (Value *along : {&a.columns, &alongB})
    *along = binary("arith.maxsi", binary("arith.minsi", each, binary("arith.subi", *along, first)), i32(0));
  move(a, Value(), wide(first), sum.a.getFrom().getType());
  sum.transposeB ? move(factor, Value(), wide(first), sum.b.getFrom().getType())
                 : move(factor, wide(first), Value(), sum.b.getFrom().getType());
  to.rows = binary("arith.divui", to.rows, i32(shares));
  move(to, wide(multiply(number, to.rows)), Value(), sum.store.getTo().getType());
  return first;
}

} // namespace stepdown
