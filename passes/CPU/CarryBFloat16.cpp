// Functions of plain modules have bf16 as sixteen bits in machine code. They compute nothing in bf16 any more
// (expand-elementary), but LLVM still calls __truncsfbf2 to move a number of that type, or to make a vector of it.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/CPU/Passes.h"

using namespace mlir;

namespace stepdown {
#define GEN_PASS_DEF_CARRYBFLOAT16
#include "passes/CPU/Passes.h.inc"

namespace {

Type bitsType(Type type) {
  Type i16 = IntegerType::get(type.getContext(), 16);
  if (type.isBF16())
    return i16;
  if (auto vector = dyn_cast<VectorType>(type); vector && vector.getElementType().isBF16())
    return vector.clone(i16);
  if (auto tensor = dyn_cast<RankedTensorType>(type); tensor && tensor.getElementType().isBF16())
    return tensor.clone(i16);
  if (auto memref = dyn_cast<MemRefType>(type); memref && memref.getElementType().isBF16())
    return MemRefType::Builder(memref).setElementType(i16);
  return type;
}

Attribute bitsAttribute(Attribute value) {
  auto integer = [](const llvm::APFloat &number) { return number.bitcastToAPInt(); };
  if (auto number = dyn_cast<FloatAttr>(value); number && number.getType().isBF16())
    return IntegerAttr::get(bitsType(number.getType()), integer(number.getValue()));
  auto dense = dyn_cast<DenseFPElementsAttr>(value);
  if (dense && dense.getElementType().isBF16())
    return dense.mapValues(bitsType(dense.getElementType()), integer);
  return value;
}

void carry(Operation *op) {
  for (Value result : op->getResults())
    result.setType(bitsType(result.getType()));
  for (Region &region : op->getRegions())
    for (Block &block : region)
      for (BlockArgument argument : block.getArguments())
        argument.setType(bitsType(argument.getType()));
  if (auto constant = dyn_cast<arith::ConstantOp>(op))
    constant.setValueAttr(cast<TypedAttr>(bitsAttribute(constant.getValue())));
  // The bits of what is bits already.
  auto cast = dyn_cast<arith::BitcastOp>(op);
  if (cast && cast.getIn().getType() == cast.getType()) {
    cast.replaceAllUsesWith(cast.getIn());
    cast.erase();
  }
}

struct CarryBFloat16 : impl::CarryBFloat16Base<CarryBFloat16> {
  void runOnOperation() override {
    for (auto global : getOperation().getOps<memref::GlobalOp>()) {
      global.setType(cast<MemRefType>(bitsType(global.getType())));
      if (auto value = global.getInitialValue())
        global.setInitialValueAttr(bitsAttribute(*value));
    }
    for (auto function : getOperation().getOps<func::FuncOp>())
      function.walk([](Operation *op) { carry(op); }); // in program order: operands before what takes them
  }
};
} // namespace

} // namespace stepdown
