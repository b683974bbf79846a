#include "passes/CPU/Operands.h"
#include "mlir/Conversion/LLVMCommon/MemRefBuilder.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;

namespace stepdown {

Value operandPlace(OpBuilder &b, Location loc, Value operands, int64_t slot) {
  return LLVM::GEPOp::create(b, loc, LLVM::LLVMPointerType::get(b.getContext()), b.getI64Type(), operands,
                             ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(slot)});
}

Value loadOperand(OpBuilder &b, Location loc, Type type, Value operands, int64_t slot) {
  return LLVM::LoadOp::create(b, loc, type, operandPlace(b, loc, operands, slot));
}

Value bindMemory(OpBuilder &b, Location loc, LLVMTypeConverter &converter, MemRefType type, Value base,
                 ValueRange sizes) {
  Type i64 = b.getI64Type();
  auto number = [&](int64_t n) -> Value { return LLVM::ConstantOp::create(b, loc, i64, b.getI64IntegerAttr(n)); };
  const int64_t rank = type.getRank();
  SmallVector<Value> strides(rank);
  Value stride = number(1);
  for (int64_t d = rank - 1; d >= 0; --d) {
    strides[d] = stride;
    stride = LLVM::MulOp::create(b, loc, stride, sizes[d]);
  }
  SmallVector<Value> fields = {base, base, number(0)};
  fields.append(sizes.begin(), sizes.end());
  fields.append(strides);
  Value descriptor = MemRefDescriptor::pack(b, loc, converter, type, fields);
  return UnrealizedConversionCastOp::create(b, loc, type, descriptor).getResult(0);
}

Value bindOperand(OpBuilder &b, Location loc, LLVMTypeConverter &converter, MemRefType type, Value operands,
                  int64_t slot) {
  Type i64 = b.getI64Type();
  Value base = loadOperand(b, loc, LLVM::LLVMPointerType::get(b.getContext()), operands, slot);
  SmallVector<Value> sizes;
  for (int64_t d = 0; d < type.getRank(); ++d)
    sizes.push_back(type.isDynamicDim(d)
                        ? loadOperand(b, loc, i64, operands, slot + 1 + d)
                        : Value(LLVM::ConstantOp::create(b, loc, i64, b.getI64IntegerAttr(type.getDimSize(d)))));
  return bindMemory(b, loc, converter, type, base, sizes);
}

} // namespace stepdown
