// A matrix product that the table has a kernel for becomes its launch; others stay, for the stages behind. The kernels
// stand beside the functions, each once.
#include "dialects/Tile/IR/TileOps.h"
#include "lib/Kernels/ChipLimits.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "passes/Kernel/Contraction.h"
#include "passes/Kernel/Dequantised.h"
#include "passes/Kernel/KernelTable.h"
#include "passes/Kernel/Passes.h"
#include "passes/Kernel/PlaceKernel.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace stepdown {
#define GEN_PASS_DEF_SELECTKERNELS
#include "passes/Kernel/Passes.h.inc"

namespace {
/// Of one product.
class Launcher {
public:
  Launcher(Operation *before, Location loc, const Contraction &product, const SelectedKernel &kernel,
           const std::string &symbol)
      : b(before), loc(loc), product(product), kernel(kernel), symbol(symbol) {}

  /// The product, written over `out`; what is done with its elements reads `more`.
  Value launch(Value out, ValueRange more) {
    extra = more;
    Value a = inOrder(product.a, {product.a.batch, product.a.rows, product.a.columns});
    const Contraction::Operand &second = product.b;
    Value w =
        inOrder(second, kernel.parameters.transposeB ? ArrayRef<int64_t>{second.batch, second.columns, second.rows}
                                                     : ArrayRef<int64_t>{second.batch, second.rows, second.columns});
    const int64_t k = product.a.columns;
    if (!cast<RankedTensorType>(product.a.value.getType()).isDynamicDim(k))
      return launchAll(padRows(a), padRows(w), out);
    // No tensor map describes a matrix without rows.
    Value size = tensor::DimOp::create(b, loc, product.a.value, k);
    Value none = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, size, index(0));
    auto choice = scf::IfOp::create(b, loc, TypeRange(out.getType()), none, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToEnd(choice.thenBlock());
    auto element = cast<RankedTensorType>(out.getType()).getElementType();
    Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(element));
    scf::YieldOp::create(b, loc, linalg::FillOp::create(b, loc, zero, out).getResult(0));
    b.setInsertionPointToEnd(choice.elseBlock());
    scf::YieldOp::create(b, loc, launchAll(padRows(a), padRows(w), out));
    return choice.getResult(0);
  }

  /// The product of `a` and of `w`, which lies transposed, of codes with scales.
  Value launchScaled(const Dequantised &a, const Dequantised &w, Value out) {
    const SmallVector<Value> scales = {scalesOf(b, loc, a), scalesOf(b, loc, w)};
    extra = scales;
    return launchOne(padRows(codesOf(b, loc, a)), padRows(codesOf(b, loc, w)), out);
  }

private:
  Value index(int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); }

  /// The operand with its dimensions in that order, those that are kNone left out.
  Value inOrder(const Contraction::Operand &operand, ArrayRef<int64_t> dimensions) {
    SmallVector<int64_t> order = llvm::filter_to_vector(dimensions, [](int64_t d) { return d != Contraction::kNone; });
    if (llvm::is_sorted(order))
      return operand.value;
    SmallVector<OpFoldResult> sizes;
    for (int64_t d : order)
      sizes.push_back(tensor::getMixedSize(b, loc, operand.value, d));
    Value room =
        tensor::EmptyOp::create(b, loc, sizes, cast<RankedTensorType>(operand.value.getType()).getElementType());
    return linalg::TransposeOp::create(b, loc, operand.value, room, order)->getResult(0);
  }

  /// `matrix` with as many zero columns as its rows need to be a multiple of 16 bytes long.
  Value padRows(Value matrix) {
    auto type = cast<RankedTensorType>(matrix.getType());
    const int64_t last = type.getRank() - 1, each = kRowAlignment * 8 / type.getElementTypeBitWidth();
    SmallVector<int64_t> shape(type.getShape());
    SmallVector<OpFoldResult> low(type.getRank(), b.getIndexAttr(0)), high = low;
    if (type.isDynamicDim(last)) {
      Value columns = tensor::DimOp::create(b, loc, matrix, last);
      Value pieces = arith::CeilDivSIOp::create(b, loc, columns, index(each));
      Value padded = arith::MulIOp::create(b, loc, pieces, index(each));
      high[last] = OpFoldResult(Value(arith::SubIOp::create(b, loc, padded, columns)));
    } else {
      shape[last] = llvm::alignTo(type.getDimSize(last), each);
      if (shape[last] == type.getDimSize(last))
        return matrix;
      high[last] = b.getIndexAttr(shape[last] - type.getDimSize(last));
    }
    Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(type.getElementType()));
    return tensor::PadOp::create(b, loc, type.clone(shape), matrix, low, high, zero);
  }

  /// Place, sizes and type of matrix `i` in an array of them.
  struct Piece {
    SmallVector<OpFoldResult> offsets, sizes, strides;
    RankedTensorType type;
  };
  Piece pieceOf(Value all, Value i) {
    auto type = cast<RankedTensorType>(all.getType());
    Piece piece = {{i, b.getIndexAttr(0), b.getIndexAttr(0)},
                   {b.getIndexAttr(1), tensor::getMixedSize(b, loc, all, 1), tensor::getMixedSize(b, loc, all, 2)},
                   SmallVector<OpFoldResult>(3, b.getIndexAttr(1)),
                   RankedTensorType::get(type.getShape().drop_front(), type.getElementType())};
    return piece;
  }
  Value slice(Value all, Value i) {
    if (cast<RankedTensorType>(all.getType()).getRank() == 2)
      return all; // one for each i
    const Piece piece = pieceOf(all, i);
    return tensor::ExtractSliceOp::create(b, loc, piece.type, all, piece.offsets, piece.sizes, piece.strides);
  }

  Value launchOne(Value a, Value w, Value out) {
    SmallVector<Value> inputs = {a, w};
    llvm::append_range(inputs, extra);
    return tile::LaunchOp::create(b, loc, TypeRange(out.getType()), inputs, out, symbol).getResult(0);
  }

  Value launchAll(Value a, Value w, Value out) {
    if (!product.batched())
      return launchOne(a, w, out);
    Value count = tensor::DimOp::create(b, loc, out, 0);
    auto loop = scf::ForOp::create(b, loc, index(0), count, index(1), ValueRange{out});
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value i = loop.getInductionVar(), all = loop.getRegionIterArg(0);
    Value one = launchOne(slice(a, i), slice(w, i), slice(all, i));
    const Piece piece = pieceOf(all, i);
    scf::YieldOp::create(
        b, loc, Value(tensor::InsertSliceOp::create(b, loc, one, all, piece.offsets, piece.sizes, piece.strides)));
    return loop.getResult(0);
  }

  OpBuilder b;
  Location loc;
  const Contraction &product;
  const SelectedKernel &kernel;
  const std::string &symbol;
  ValueRange extra;
};

struct SelectKernels : impl::SelectKernelsBase<SelectKernels> {
  using SelectKernelsBase::SelectKernelsBase;

  /// Whether `init` holds nothing but zeros: the kernel's sums begin with zero.
  static bool isZero(Value init) {
    auto fill = init.getDefiningOp<linalg::FillOp>();
    return fill && (matchPattern(fill.value(), m_PosZeroFloat()) || matchPattern(fill.value(), m_NegZeroFloat()) ||
                    matchPattern(fill.value(), m_Zero()));
  }

  /// For a kernel that writes each element what `op`, which does too, was to write into is enough; where that is a
  /// tensor of the caller's, another is, since bufferization would copy that one's elements, which nobody reads.
  static Value roomOf(OpBuilder &b, linalg::LinalgOp op) {
    Value into = op.getDpsInits()[0];
    if (into.getDefiningOp<tensor::EmptyOp>())
      return into;
    return tensor::EmptyOp::create(b, op->getLoc(), tensor::getMixedSizes(b, op->getLoc(), into),
                                   getElementTypeOrSelf(into));
  }

  /// product + init, rounded once to init's element.
  static Value add(OpBuilder &b, Location loc, Value product, Value init) {
    auto type = cast<RankedTensorType>(init.getType());
    Value room = tensor::EmptyOp::create(b, loc, tensor::getMixedSizes(b, loc, init), type.getElementType());
    const AffineMap each = b.getMultiDimIdentityMap(type.getRank());
    return linalg::GenericOp::create(
               b, loc, type, ValueRange{product, init}, ValueRange{room}, SmallVector<AffineMap>(3, each),
               SmallVector<utils::IteratorType>(type.getRank(), utils::IteratorType::parallel),
               [&](OpBuilder &k, Location at, ValueRange v) {
                 if (type.getElementType().isInteger()) {
                   linalg::YieldOp::create(k, at, Value(arith::AddIOp::create(k, at, v[0], v[1])));
                   return;
                 }
                 const bool narrow = !type.getElementType().isF32();
                 Value before = narrow ? Value(arith::ExtFOp::create(k, at, k.getF32Type(), v[1])) : v[1];
                 Value sum = arith::AddFOp::create(k, at, v[0], before);
                 if (narrow)
                   sum = arith::TruncFOp::create(k, at, type.getElementType(), sum);
                 linalg::YieldOp::create(k, at, sum);
               })
        .getResult(0);
  }

  /// Whether sums of a kernel, rounded, can be a result of `element`.
  static bool isSum(bool integers, Type element) {
    return integers ? element.isSignlessInteger(32) : element.isF32() || element.isBF16() || element.isF16();
  }

  /// How many shares of the sum a kernel is to have, each computed by blocks of its own.
  int64_t sharesOf(const Contraction &product, Type element) {
    const auto left = cast<RankedTensorType>(product.a.value.getType()),
               result = cast<RankedTensorType>(product.init.getType());
    const bool integers = element.isInteger();
    if (product.batched() || product.a.value == product.b.value) // one matrix would begin in two places
      return 1;
    const Type sums = integers ? Type(IntegerType::get(&getContext(), 32)) : Type(Float32Type::get(&getContext()));
    const int64_t rows = result.getDimSize(0), columns = result.getDimSize(1);
    const std::optional<SelectedKernel> kernel = selectMatmul(
        chip, element, sums, rows, columns, element.getIntOrFloatBitWidth() == 8 || product.b.columns < product.b.rows);
    return kernel ? sharesOfSum(kernel->parameters, rows, columns, left.getDimSize(product.a.columns)) : 1;
  }

  /// The sum of `shares` matrices, which lie one behind the other, and of `init` where it is there, rounded once to the
  /// element of `result`. Pairs of neighbours are added, then pairs of these, whatever computes it.
  static Value addShares(OpBuilder &b, Location loc, Value all, int64_t shares, RankedTensorType result, Value init) {
    const Type wide = cast<RankedTensorType>(all.getType()).getElementType(), element = result.getElementType();
    const auto each = RankedTensorType::get(result.getShape(), wide);
    SmallVector<Value> inputs;
    const SmallVector<OpFoldResult> ones(2, b.getIndexAttr(1));
    const SmallVector<OpFoldResult> sizes = {b.getIndexAttr(result.getDimSize(0)),
                                             b.getIndexAttr(result.getDimSize(1))};
    for (int64_t i = 0; i < shares; ++i) {
      const SmallVector<OpFoldResult> from = {b.getIndexAttr(i * result.getDimSize(0)), b.getIndexAttr(0)};
      inputs.push_back(tensor::ExtractSliceOp::create(b, loc, each, all, from, sizes, ones));
    }
    if (init)
      inputs.push_back(init);
    Value room = tensor::EmptyOp::create(b, loc, result.getShape(), element);
    auto body = [&](OpBuilder &k, Location at, ValueRange v) {
      auto sum = [&](Value x, Value y) -> Value {
        return wide.isInteger() ? Value(arith::AddIOp::create(k, at, x, y)) : Value(arith::AddFOp::create(k, at, x, y));
      };
      SmallVector<Value> parts(v.take_front(shares));
      while (parts.size() > 1) {
        SmallVector<Value> pairs;
        for (size_t i = 0; i < parts.size(); i += 2)
          pairs.push_back(sum(parts[i], parts[i + 1]));
        parts = std::move(pairs);
      }
      Value made = parts.front();
      if (init) {
        Value before = v[shares];
        if (before.getType() != wide)
          before = arith::ExtFOp::create(k, at, wide, before);
        made = sum(made, before);
      }
      if (element != wide)
        made = arith::TruncFOp::create(k, at, element, made);
      linalg::YieldOp::create(k, at, made);
    };
    return linalg::GenericOp::create(b, loc, result, inputs, ValueRange{room},
                                     SmallVector<AffineMap>(inputs.size() + 1, b.getMultiDimIdentityMap(2)),
                                     SmallVector<utils::IteratorType>(2, utils::IteratorType::parallel), body)
        .getResult(0);
  }

  /// One scale for all of a factor, which leaves it as it is.
  static Value scaleOfOne(OpBuilder &b, Location loc) {
    Value one = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(1));
    Value room = tensor::EmptyOp::create(b, loc, {1, 1}, b.getF32Type());
    return linalg::FillOp::create(b, loc, one, room).getResult(0);
  }

  /// Whether `op` is a product of what codes of fp8 with scales stand for, and launches the kernel that takes these.
  /// Where it is none, but of such codes, `reason` says which condition was not met.
  FailureOr<bool> selectScaled(linalg::LinalgOp op, const Contraction &product, KernelPlace &place,
                               std::string &reason) {
    std::string ofA, ofW;
    const std::optional<Dequantised> a = dequantisedOf(product.a.value, ofA), w = dequantisedOf(product.b.value, ofW);
    if (!a && !w && ofA.empty() && ofW.empty())
      return false;
    auto no = [&](const Twine &text) {
      reason = ("fp8 with scales: " + text).str();
      return false;
    };
    const auto left = cast<RankedTensorType>(product.a.value.getType());
    const auto result = cast<RankedTensorType>(product.init.getType());
    const int64_t k = left.getDimSize(product.a.columns);
    if (!selectScaledMatmul(chip, Float8E4M3FNType::get(&getContext()), 1, Float32Type::get(&getContext())))
      return no("expects a chip with kernels of them, but got " + chip);
    if (product.batched())
      return no("expects one product, but got a batch");
    const std::string none = "expects codes of fp8 times scales, but got other numbers";
    if (!a)
      return no("first factor: " + (ofA.empty() ? none : ofA));
    if (!w)
      return no("second factor: " + (ofW.empty() ? none : ofW));
    if (a->element() != w->element())
      return no("expects codes of one type, but got " + elementName(a->element()) + " and " +
                elementName(w->element()));
    if (a->rowsOfScale > 1)
      return no("first factor: expects a scale for all, for each row or for 128 columns of a row, but got one for 128 "
                "columns of 128 rows");
    if (w->rowsOfScale == 1)
      return no("second factor: expects a scale for all or for 128 columns of 128 rows, but got one of each row");
    if (product.a.columns < product.a.rows || product.b.rows < product.b.columns)
      return no("expects the sum along the rows of both factors, so of the second one transposed");
    if (ShapedType::isDynamic(k) || k == 0)
      return no("expects a sum of so many numbers, known when it is compiled, but got " +
                (k == 0 ? std::string("none") : std::string("?")));
    if (!result.getElementType().isF32())
      return no("expects a result of f32, but got " + elementName(result.getElementType()));
    if (!isZero(product.init))
      return no("expects a sum that begins with zeros");
    const std::optional<SelectedKernel> kernel =
        selectScaledMatmul(chip, a->element(), result.getDimSize(0), result.getElementType());
    if (!kernel)
      return no("expects codes of f8E4M3FN or f8E5M2, but got " + elementName(a->element()));
    FailureOr<std::string> symbol = place.scaledProduct(*kernel, op->getLoc());
    if (failed(symbol))
      return failure();
    auto fill = product.init.getDefiningOp<linalg::FillOp>();
    llvm::SmallSetVector<Value, 3> made; // both factors may be one
    for (Value each : {product.a.value, product.b.value, fill.getResult(0)})
      made.insert(each);
    OpBuilder b(op);
    Value value = Launcher(op, op->getLoc(), product, *kernel, *symbol).launchScaled(*a, *w, roomOf(b, fill));
    op->getResult(0).replaceAllUsesWith(value);
    op->erase();
    for (Value each : made) // what nobody reads any more
      for (Operation *maker = each.getDefiningOp(); maker && maker->use_empty();) {
        Operation *before = isa<tensor::CollapseShapeOp>(maker) ? maker->getOperand(0).getDefiningOp() : nullptr;
        maker->erase();
        maker = before;
      }
    ++selected;
    return true;
  }

  LogicalResult select(linalg::LinalgOp op, const Contraction &product, KernelPlace &place) {
    std::string scales;
    FailureOr<bool> scaled = selectScaled(op, product, place, scales);
    if (failed(scaled) || *scaled)
      return success(succeeded(scaled));
    const auto left = cast<RankedTensorType>(product.a.value.getType());
    const auto right = cast<RankedTensorType>(product.b.value.getType());
    const auto result = cast<RankedTensorType>(product.init.getType());
    const Type element = left.getElementType();
    const int64_t rank = result.getRank();
    auto leave = [&](const Twine &reason) { return place.leave(op, reason), success(); };
    if (right.getElementType() != element || !multiplies(chip, element))
      return !scales.empty() ? leave(scales)
                             : leave("expects factors of one type, of those that " + chip + " multiplies, but got " +
                                     elementName(element) + " and " + elementName(right.getElementType()));
    const bool integers = element.isInteger();
    auto noKernel = [&] {
      return leave(Twine("expects a chip with kernels ") +
                   (integers ? "of i8 and a result of i32" : "and a result of f32, bf16 or f16") + ", but got " + chip +
                   " and " + elementName(result.getElementType()));
    };
    if (!isSum(integers, result.getElementType()))
      return noKernel();
    if (left.getDimSize(product.a.columns) == 0)
      return leave("expects products to add up");
    for (const Contraction::Operand &each : {product.a, product.b})
      if (each.batch != Contraction::kNone && each.batch == rank - 1)
        return leave("expects matrices of neighbouring elements");
    const bool zero = isZero(product.init);
    Epilogue epilogue;
    // Of fp8, tensor cores of Hopper keep 14 bits of a sum: a long one ends behind each 128 columns and goes on in
    // float32, as with scales, which are one.
    const int64_t k = left.getDimSize(product.a.columns);
    const bool inBlocks = keepsFewBits(chip, element) && (ShapedType::isDynamic(k) || k > 128);
    const int64_t shares = inBlocks ? 1 : sharesOf(product, element);
    // What is done with a sum in shares is done behind it. One that has nothing to add up would have to be done all the
    // same, and one of a batch lies elsewhere for each.
    if (shares == 1 && !inBlocks && !integers && !product.batched() && !left.isDynamicDim(product.a.columns)) {
      if (std::optional<Epilogue> found = epilogueOf(op->getResult(0)))
        epilogue = *found;
      if (!zero)
        epilogue.init = product.init;
    }
    const bool adds = !zero && epilogue.empty(); // behind the product
    const Type made = (adds || shares > 1) && !integers ? Type(Float32Type::get(&getContext()))
                                                        : epilogue.elementOf(result.getElementType());
    // Of 8 bits, matrix units take rows along k alone.
    const bool transposeB = element.getIntOrFloatBitWidth() == 8 || product.b.columns < product.b.rows;
    const int64_t rows = result.getDimSize(rank - 2);
    std::optional<SelectedKernel> kernel =
        inBlocks ? selectScaledMatmul(chip, element, rows, made)
                 : selectMatmul(chip, element, made, rows, result.getDimSize(rank - 1), transposeB);
    if (!kernel)
      return noKernel();
    if (shares > 1) {
      kernel->parameters.shares = shares;
      kernel->name += "_" + std::to_string(shares) + "_shares";
    }
    FailureOr<std::string> symbol =
        inBlocks ? place.scaledProduct(*kernel, op->getLoc()) : place.product(*kernel, epilogue, op->getLoc());
    if (failed(symbol))
      return failure();
    Operation *last = epilogue.consumer ? epilogue.consumer.getOperation() : op.getOperation();
    OpBuilder b(last);
    const Location loc = op->getLoc();
    auto fill = zero ? product.init.getDefiningOp<linalg::FillOp>() : linalg::FillOp();
    Value out;
    if (shares > 1)
      out = tensor::EmptyOp::create(b, loc, {shares * result.getDimSize(0), result.getDimSize(1)}, made);
    else if (epilogue.consumer)
      out = roomOf(b, epilogue.consumer);
    else if (zero)
      out = roomOf(b, fill);
    else
      out = tensor::EmptyOp::create(b, loc, tensor::getMixedSizes(b, loc, product.init), made);
    const SmallVector<Value> more =
        inBlocks ? SmallVector<Value>(2, scaleOfOne(b, loc)) : SmallVector<Value>(epilogue.matrices(b, loc));
    Value value = Launcher(last, loc, product, *kernel, *symbol).launch(out, more);
    if (shares > 1)
      value = addShares(b, loc, value, shares, result, adds ? product.init : Value());
    last->getResult(0).replaceAllUsesWith(adds && shares == 1 ? add(b, loc, value, product.init) : value);
    last->erase();
    if (last != op)
      op.erase();
    if (fill && fill->use_empty())
      fill.erase();
    ++selected;
    return success();
  }

  static std::string elementName(Type type) {
    std::string name;
    llvm::raw_string_ostream(name) << type;
    return name;
  }

  void runOnOperation() override {
    SmallVector<std::pair<linalg::LinalgOp, Contraction>> products;
    getOperation().walk([&](linalg::LinalgOp op) {
      if (std::optional<Contraction> product = contractionOf(op))
        products.emplace_back(op, *product);
    });
    KernelPlace place(getOperation());
    for (auto &[op, product] : products) {
      // What an earlier product became stands for it now.
      if (std::optional<Contraction> now = contractionOf(op); now && failed(select(op, *now, place)))
        return signalPassFailure();
    }
  }
};
} // namespace
} // namespace stepdown
