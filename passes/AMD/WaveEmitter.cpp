#include "passes/AMD/WaveEmitter.h"
#include "lib/Kernels/ChipLimits.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::amd {

WaveEmitter::WaveEmitter(KernelOp kernel, const Chip &chip, int64_t threads, LLVM::LLVMFuncOp function)
    : TileEmitter(kernel, chip.name), kernel(kernel), chip(chip), threads(threads), layout(chip.accumulator()),
      function(function) {}

Value WaveEmitter::intrinsic(StringRef name, Type result, ValueRange operands) {
  if (result)
    return LLVM::CallIntrinsicOp::create(b, result, b.getStringAttr(name), operands).getResult(0);
  LLVM::CallIntrinsicOp::create(b, b.getStringAttr(name), operands);
  return Value();
}

Value WaveEmitter::blockIndex(int axis) {
  return intrinsic(axis ? "llvm.amdgcn.workgroup.id.y" : "llvm.amdgcn.workgroup.id.x", b.getI32Type(), {});
}

/// The first of the hidden arguments are how many blocks there are along x and y (code object v5).
Value WaveEmitter::blockCount(int axis) {
  Value hidden = intrinsic("llvm.amdgcn.implicitarg.ptr", LLVM::LLVMPointerType::get(b.getContext(), 4), {});
  if (axis)
    hidden = LLVM::GEPOp::create(b, hidden.getType(), b.getI32Type(), hidden, ArrayRef<LLVM::GEPArg>{axis});
  return LLVM::LoadOp::create(b, b.getI32Type(), hidden, 4, /*isVolatile=*/false, /*isNonTemporal=*/false,
                              /*isInvariant=*/true);
}

Value WaveEmitter::lds(Value offset) {
  return LLVM::GEPOp::create(b, base.getType(), b.getI8Type(), base, ArrayRef<LLVM::GEPArg>{offset});
}

void WaveEmitter::begin() {
  readPointers(kernel, function.getBody().front(), matrices);
  chooseProduct(kernel, matrices);
  base = LLVM::AddressOfOp::create(b, LLVM::LLVMPointerType::get(b.getContext(), 3), "lds");
  thread = intrinsic("llvm.amdgcn.workitem.id.x", b.getI32Type(), {});
  lane = remainder(thread, chip.lanes);
  // All lanes have one wave, but only of a scalar does LLVM know.
  wave = intrinsic("llvm.amdgcn.readfirstlane", b.getI32Type(), {divided(thread, chip.lanes)});
}

LogicalResult WaveEmitter::sizeOf(memref::DimOp op) {
  std::optional<int64_t> index = op.getConstantIndex();
  if (!index || !matrices.contains(op.getSource()))
    return unfit(op) << "expects the size of an argument's known dimension, but got another";
  const Matrix &matrix = matrices[op.getSource()];
  map(op.getResult(), *index == 0 ? matrix.rows : matrix.columns);
  return success();
}

void WaveEmitter::readEntry(EntryOp op) {
  const Matrix &table = matrices[op.getTable()];
  emitEntry(op, table.pointer, table.stride, [&](Value read) { // the same for all lanes
    return intrinsic("llvm.amdgcn.readfirstlane", b.getI32Type(), {read});
  });
}

/// Powers and quotients are those of the special function unit, without subnormal numbers (v_exp_f32, v_rcp_f32: one
/// unit in the last place, by AMD's instruction set guides). tanh x = 1 - 2 / (1 + e^2x).
Value WaveEmitter::mapped(Operation &op, IRMapping &elements) {
  auto of = [&](unsigned i) { return elements.lookup(op.getOperand(i)); };
  auto number = [&](double value) -> Value { return arith::ConstantOp::create(b, b.getF32FloatAttr(float(value))); };
  auto power = [&](Value x) -> Value {
    // By its name: convert-gpu-to-rocdl has no exp2 but that of a library.
    auto call = LLVM::CallIntrinsicOp::create(b, x.getType(), b.getStringAttr("llvm.exp2.f32"), ValueRange{x});
    call.setFastmathFlags(LLVM::FastmathFlags::afn);
    return call.getResult(0);
  };
  auto quotient = [&](Value x, Value y) -> Value {
    auto fast = arith::FastMathFlagsAttr::get(b.getContext(), arith::FastMathFlags::afn | arith::FastMathFlags::arcp);
    return arith::DivFOp::create(b, x, y, fast);
  };
  if (isa<math::Exp2Op>(op))
    return power(of(0));
  if (isa<arith::DivFOp>(op))
    return quotient(of(0), of(1));
  if (isa<math::TanhOp>(op)) {
    Value below = binary("arith.addf", power(binary("arith.mulf", of(0), number(2 * 1.4426950408889634))), number(1));
    return binary("arith.subf", number(1), quotient(number(2), below));
  }
  return b.clone(op, elements)->getResult(0);
}

} // namespace stepdown::amd
