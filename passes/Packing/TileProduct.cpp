// A row of activations is scaled by a power of two, so that its largest number lies in [2^14, 2^15), and rounded to
// binary16: it keeps 11 bits of what is at least 2^-28 of the largest, and nothing overflows. The power comes of the
// exponents' bits and back exactly, so that the product's result is scaled back without a rounding.
#include "passes/Packing/TileProduct.h"
#include "dialects/Tile/IR/BlockCopy.h"
#include "dialects/Tile/IR/TileOps.h"
#include "include/stepdown/Artifact.h"
#include "lib/Kernels/ChipLimits.h"
#include "lib/Kernels/KernelText.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Packing/ThreadKernel.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {

/// Bytes of shared memory at a multiple of which tiles begin.
static constexpr int64_t kTileAlignment = 1024;

bool TileProducts::isTaken(Type weight) const {
  auto block = dyn_cast<BlockType>(cast<RankedTensorType>(weight).getElementType());
  return !exact && target.chip && block && block.getFormat().isQuantised() && target.layout->rows == 16 &&
         packedBlock(*target.layout, block.getFormat()).d.bytes == 2;
}

bool TileProducts::takes(LinearOp product) const {
  return isTaken(product.getWeight().getType()) && quantisedMatmulOn(target.chip) && !product.getBias() &&
         columns(product.getX().getType()) % kCodeColumns == 0;
}

bool TileProducts::takes(ExpertLinearOp product) const {
  return isTaken(product.getWeight().getType()) && columns(product.getWeight().getType()) % kCodeColumns == 0;
}

/// What `product` multiplies if it is taken, else null.
Value TileProducts::taken(Operation *product) const {
  if (auto plain = dyn_cast<LinearOp>(product))
    return takes(plain) ? plain.getX() : Value();
  auto experts = dyn_cast<ExpertLinearOp>(product);
  return experts && takes(experts) ? experts.getX() : Value();
}

TileProducts::Operand TileProducts::quantise(ImplicitLocOpBuilder &b, Value x) {
  Type f32 = b.getF32Type(), i32 = b.getI32Type();
  const int64_t wide = columns(x.getType());
  auto rowsOf = [&](Type element) { return RankedTensorType::get({ShapedType::kDynamic, wide}, element); };
  auto number = [&](OpBuilder &k, Location loc, int32_t value) -> Value {
    return arith::ConstantOp::create(k, loc, k.getI32IntegerAttr(value));
  };
  Value numbers = x.getType() == rowsOf(f32) ? x : UnrealizedConversionCastOp::create(b, rowsOf(f32), x).getResult(0);
  Value tokens = tensor::DimOp::create(b, numbers, 0);
  auto empty = [&](RankedTensorType type) -> Value { return tensor::EmptyOp::create(b, type, ValueRange{tokens}); };
  const AffineMap each = b.getMultiDimIdentityMap(2), row = AffineMap::get(2, 0, b.getAffineDimExpr(0));
  const auto parallel = utils::IteratorType::parallel, reduction = utils::IteratorType::reduction;
  const auto scaleType = RankedTensorType::get({ShapedType::kDynamic}, f32);
  Value least = arith::ConstantOp::create(b, b.getF32FloatAttr(0x1p-114f));
  Value start = linalg::FillOp::create(b, least, empty(scaleType)).getResult(0);
  Operand operand;
  operand.scales = linalg::GenericOp::create(
                       b, scaleType, numbers, start, ArrayRef<AffineMap>{each, row},
                       ArrayRef<utils::IteratorType>{parallel, reduction},
                       [&](OpBuilder &k, Location loc, ValueRange v) {
                         Value bits = arith::BitcastOp::create(k, loc, i32, v[0]);
                         bits = arith::AndIOp::create(k, loc, bits, number(k, loc, 0x7f800000));
                         bits = arith::MinSIOp::create(k, loc, bits, number(k, loc, 0x7f000000)); // of infinities
                         Value power = arith::BitcastOp::create(k, loc, f32, bits);
                         Value down = arith::ConstantOp::create(k, loc, k.getF32FloatAttr(0x1p-14f));
                         power = arith::MulFOp::create(k, loc, power, down);
                         linalg::YieldOp::create(k, loc, Value(arith::MaximumFOp::create(k, loc, power, v[1])));
                       })
                       .getResult(0);
  operand.rows = linalg::GenericOp::create(
                     b, rowsOf(b.getF16Type()), ValueRange{numbers, operand.scales}, empty(rowsOf(b.getF16Type())),
                     ArrayRef<AffineMap>{each, row, each}, ArrayRef<utils::IteratorType>{parallel, parallel},
                     [&](OpBuilder &k, Location loc, ValueRange v) {
                       Value bits = arith::BitcastOp::create(k, loc, i32, v[1]); // of 2^-e, of which 2^e is made
                       Value turned = arith::SubIOp::create(k, loc, number(k, loc, 254 << 23), bits);
                       Value up = arith::BitcastOp::create(k, loc, f32, turned);
                       Value scaled = arith::MulFOp::create(k, loc, v[0], up);
                       linalg::YieldOp::create(k, loc, Value(arith::TruncFOp::create(k, loc, k.getF16Type(), scaled)));
                     })
                     .getResult(0);
  rowsMade.insert(operand.rows);
  return operand;
}

void TileProducts::prepare(KernelOp kernel) {
  operands.clear(); // of kernels that are erased by now, in whose place other values may be
  outputs.clear(), rowsMade.clear();
  llvm::DenseMap<Value, Operand> made; // of each x
  kernel.walk([&](Operation *product) {
    Value x = taken(product);
    if (!x)
      return;
    auto argument = dyn_cast<BlockArgument>(sameNumbers(x));
    if (argument && left.contains(kernel.getInputs()[argument.getArgNumber()])) {
      operands[product->getResult(0)] = left[kernel.getInputs()[argument.getArgNumber()]];
      return;
    }
    if (!made.contains(x)) {
      ImplicitLocOpBuilder b(product->getLoc(), product);
      made[x] = quantise(b, x);
    }
    operands[product->getResult(0)] = made[x];
  });
  // What is yielded and becomes an operand is quantised where it is made, in the same launch (ThreadKernels.cpp).
  Operation *end = kernel.getBody().front().getTerminator();
  for (auto [number, output] : llvm::enumerate(kernel.getOutputs())) {
    bool any = false, alone = true;
    for (OpOperand &use : output.getUses()) {
      auto user = dyn_cast<KernelOp>(use.getOwner());
      alone &= bool(user);
      if (!user)
        continue;
      for (OpOperand &inner : user.getBody().getArgument(use.getOperandNumber()).getUses()) {
        const bool isOperand = inner.getOperandNumber() == 0 && taken(inner.getOwner()) == inner.get();
        any |= isOperand;
        alone &= isOperand || isa<tensor::DimOp>(inner.getOwner());
      }
    }
    if (!any)
      continue;
    ImplicitLocOpBuilder b(end->getLoc(), end);
    outputs[number] = {quantise(b, end->getOperand(number)), alone};
  }
}

std::optional<TileProducts::Operand> TileProducts::output(unsigned number) const {
  auto found = outputs.find(number);
  return found == outputs.end() ? std::nullopt : std::optional(found->second.operand);
}

FailureOr<std::string> TileProducts::kernelFor(const BlockFormat &format, bool hasAddend, Location loc) {
  const std::string name = std::string("quantised_matmul_") + format.name + (hasAddend ? "_added" : "");
  std::string &made = known[name];
  if (!made.empty())
    return made;
  int64_t before = 0; // tokens of a tile: a bucket whose tile is that of the one before has no kernel of its own
  for (auto [number, bucket] : llvm::enumerate(target.buckets)) {
    QuantisedMatmulParameters parameters = *quantisedMatmulOn(target.chip, bucket.minTokens);
    parameters.format = &format, parameters.layout = target.layout, parameters.addend = hasAddend;
    if (parameters.n != before && failed(makeKernel(parameters, name + "_b" + std::to_string(number), loc)))
      return failure();
    before = parameters.n;
  }
  return made = name;
}

LogicalResult TileProducts::makeKernel(const QuantisedMatmulParameters &parameters, const std::string &name,
                                       Location loc) {
  auto text = quantisedMatmulKernel(*kernels.getContext(), parameters);
  if (!text)
    return unfit(loc, text.error());
  auto kernel = *(*text)->getOps<tile::KernelOp>().begin();
  // Where all warps, or waves, copy themselves there is no role beside them, and no barrier of a slot; AMD's code says
  // how much LDS it has.
  int64_t threads = byTensorMaps() ? 0 : parameters.warps * 32, bytes = 0;
  if (byTensorMaps())
    for (auto role : kernel.getBody().getOps<tile::RoleOp>())
      threads += role.getThreads();
  if (StringRef(target.road) == "nvidia") {
    for (auto channel : kernel.getBody().getOps<tile::ChannelOp>()) {
      int64_t slot = byTensorMaps() ? tile::kBarrierBytes : 0;
      for (MemRefType each : channel.getType().getPayload())
        slot += llvm::alignTo(each.getNumElements() * tile::elementBytes(each.getElementType()), kTileAlignment);
      bytes += channel.getType().getDepth() * slot;
    }
  }
  kernel->remove();
  kernel.setSymName(name);
  const Type weight = kernel.getArgumentTypes().front(), result = kernel.getArgumentTypes().back();
  const size_t products = parameters.addend ? 1 : kTogether;
  for (size_t i = 1; i < products; ++i) { // behind the first weight and the first result, which the text names
    (void)kernel.insertArgument(1, weight, {}, loc);
    (void)kernel.insertArgument(kernel.getNumArguments(), result, {}, loc);
  }
  SmallVector<int64_t> grid = {parameters.m, threads, bytes, parameters.n};
  if (products > 1)
    grid.push_back(products);
  kernel->setAttr(tile::kGridAttr, DenseI64ArrayAttr::get(kernel.getContext(), grid));
  kernels.getBody()->push_back(kernel);
  return success();
}

bool TileProducts::together(LinearOp a, LinearOp b) const {
  auto storage = [](LinearOp product) {
    return cast<RankedTensorType>(product.getWeight().getType()).getElementType();
  };
  return storage(a) == storage(b) && operands.at(a.getResult()).rows == operands.at(b.getResult()).rows;
}

/// A kernel has the arguments of kTogether products. Where there are fewer the last one's stand for those that are left
/// out, to which no block belongs: so that one kernel of a storage type is enough.
FailureOr<DispatchOp> TileProducts::dispatch(OpBuilder &builder, ArrayRef<LinearOp> products,
                                             function_ref<Value(Value)> place, bool byRows, Value addend) {
  LinearOp first = products.front();
  const BlockFormat &format =
      cast<BlockType>(cast<RankedTensorType>(first.getWeight().getType()).getElementType()).getFormat();
  FailureOr<std::string> kernel = kernelFor(format, bool(addend), first.getLoc());
  if (failed(kernel))
    return failure();
  const Operand operand = operands.at(first.getResult());
  const PackedBlock packed = packedBlock(*target.layout, format);
  const int64_t extent = byRows ? STEPDOWN_DIM_ROWS : STEPDOWN_DIM_TOKENS, wide = columns(first.getX().getType());
  const int64_t pieces = tile::piecesOf(packed.bytes), rows = target.layout->rows, count = products.size();
  const size_t arguments = addend ? 1 : kTogether; // weights, and results
  auto sizes = [&](std::initializer_list<int64_t> each) -> Attribute { return builder.getDenseI64ArrayAttr(each); };
  SmallVector<Value> inputs;
  SmallVector<Type> types;
  SmallVector<int64_t> sources;
  SmallVector<Attribute> dims, results;
  auto source = [&](int64_t value) { sources.append({value, 0}); };
  for (LinearOp product : products) {
    inputs.push_back(place(product.getWeight()));
    types.push_back(product.getType());
  }
  for (size_t i = 0; i < arguments; ++i) {
    LinearOp product = products[std::min<size_t>(i, count - 1)];
    auto weight = cast<RankedTensorType>(product.getWeight().getType());
    const int64_t tiles = llvm::divideCeil(weight.getDimSize(0), rows), blocks = columns(weight) / packed.columns;
    source(std::min<int64_t>(i, count - 1));
    dims.push_back(byTensorMaps() ? sizes({tiles, blocks * pieces, packed.bytes / pieces / tile::kWordBytes})
                                  : sizes({tiles, blocks * packed.bytes / tile::kWordBytes}));
    const int64_t wideResult = cast<RankedTensorType>(product.getType()).getDimSize(1);
    results.push_back(sizes({extent, int64_t(llvm::alignTo(wideResult, rows))}));
  }
  for (Value value : {operand.rows, operand.scales}) {
    source(inputs.size());
    inputs.push_back(operand.placed ? value : place(value));
  }
  dims.append({sizes({extent, wide}), sizes({1, extent})});
  if (addend) {
    source(inputs.size());
    inputs.push_back(addend);
    dims.push_back(results.front());
  }
  for (size_t i = 0; i < arguments; ++i)
    source(inputs.size() + std::min<int64_t>(i, count - 1));
  dims.append(results);
  return DispatchOp::create(builder, first.getLoc(), types, *kernel, inputs, sources, builder.getArrayAttr(dims),
                            byRows, builder.getDenseI64ArrayAttr({}));
}

} // namespace stepdown
