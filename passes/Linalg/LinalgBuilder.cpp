#include "passes/Linalg/LinalgBuilder.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace stepdown {

Value LinalgBuilder::number(OpBuilder &k, double value) {
  return arith::ConstantOp::create(k, loc, k.getF32FloatAttr(static_cast<float>(value)));
}

Value LinalgBuilder::empty(ArrayRef<OpFoldResult> shape) {
  return tensor::EmptyOp::create(b, loc, shape, b.getF32Type());
}

Value LinalgBuilder::filled(ArrayRef<OpFoldResult> shape, double value) {
  return linalg::FillOp::create(b, loc, ValueRange{number(b, value)}, ValueRange{empty(shape)}).getResult(0);
}

Value LinalgBuilder::generic(Value out, ValueRange ins, unsigned loops, unsigned reductions,
                             ArrayRef<SmallVector<unsigned>> indices, Body body) {
  SmallVector<AffineMap> maps;
  for (const SmallVector<unsigned> &each : indices)
    maps.push_back(AffineMap::getMultiDimMapWithTargets(loops, each, b.getContext()));
  SmallVector<utils::IteratorType> iterators(loops - reductions, utils::IteratorType::parallel);
  iterators.append(reductions, utils::IteratorType::reduction);
  return linalg::GenericOp::create(
             b, loc, TypeRange{out.getType()}, ins, ValueRange{out}, maps, iterators,
             [&](OpBuilder &k, Location, ValueRange values) { linalg::YieldOp::create(k, loc, body(k, values)); })
      .getResult(0);
}

Value LinalgBuilder::toF32(OpBuilder &k, Value value) {
  return value.getType().isF32() ? value : Value(arith::ExtFOp::create(k, loc, k.getF32Type(), value));
}

Value LinalgBuilder::capped(OpBuilder &k, Value z, double scale, double softcap) {
  auto mul = [&](Value a, double c) -> Value { return arith::MulFOp::create(k, loc, a, number(k, c)); };
  z = scale == 1 ? z : mul(z, scale);
  return softcap == 0 ? z : mul(math::TanhOp::create(k, loc, mul(z, 1 / softcap)), softcap);
}

} // namespace stepdown
