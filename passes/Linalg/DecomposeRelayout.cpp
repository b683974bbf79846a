#include "passes/Linalg/DecomposeRelayout.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace stepdown {
namespace {

class Relayout {
public:
  Relayout(IRRewriter &b, Operation *op) : b(b), loc(op->getLoc()) {}

  Value index(int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); }
  template <typename Op> Value make(Value a, Value c) { return b.createOrFold<Op>(loc, a, c); }
  Value less(Value a, Value c) { return b.createOrFold<arith::CmpIOp>(loc, arith::CmpIPredicate::slt, a, c); }
  SmallVector<Value> values(ArrayRef<OpFoldResult> mixed) { return getValueOrCreateConstantIndexOp(b, loc, mixed); }

  /// Every element of `out`'s shape, computed from its indices.
  Value each(Value out, llvm::function_ref<Value(ValueRange)> element) {
    auto type = cast<RankedTensorType>(out.getType());
    const unsigned rank = type.getRank();
    SmallVector<utils::IteratorType> loops(rank, utils::IteratorType::parallel);
    auto body = [&](OpBuilder &inner, Location, ValueRange) {
      OpBuilder::InsertionGuard guard(b);
      b.restoreInsertionPoint(inner.saveInsertionPoint());
      SmallVector<Value> at;
      for (unsigned d = 0; d < rank; ++d)
        at.push_back(linalg::IndexOp::create(b, loc, d));
      linalg::YieldOp::create(b, loc, element(at));
    };
    return linalg::GenericOp::create(b, loc, TypeRange{type}, ValueRange(), ValueRange{out},
                                     ArrayRef{b.getMultiDimIdentityMap(rank)}, loops, body)
        .getResult(0);
  }

  /// Where dimension `d` of the unpacked array is cut into tiles, or -1.
  static int64_t tileOf(ArrayRef<int64_t> positions, int64_t d) {
    const auto *at = llvm::find(positions, d);
    return at == positions.end() ? -1 : at - positions.begin();
  }
  static int64_t outerOf(ArrayRef<int64_t> permutation, int64_t d) {
    return permutation.empty() ? d : llvm::find(permutation, d) - permutation.begin();
  }

  /// pack with tiles of any size: upstream's lowering takes constants alone.
  Value pack(linalg::PackOp op) {
    SmallVector<Value> tiles = values(op.getMixedTiles());
    const int64_t rank = op.getSourceRank();
    return each(op.getDest(), [&](ValueRange at) -> Value {
      SmallVector<Value> from;
      Value inside;
      for (int64_t d = 0; d < rank; ++d) {
        Value place = at[outerOf(op.getOuterDimsPerm(), d)];
        if (int64_t tile = tileOf(op.getInnerDimsPos(), d); tile >= 0)
          place = make<arith::AddIOp>(make<arith::MulIOp>(place, tiles[tile]), at[rank + tile]);
        if (op.getPaddingValue()) { // behind the end the first element is read, and not taken
          Value size = b.createOrFold<tensor::DimOp>(loc, op.getSource(), d);
          Value here = less(place, size);
          place = arith::SelectOp::create(b, loc, here, place, index(0));
          inside = inside ? make<arith::AndIOp>(inside, here) : here;
        }
        from.push_back(place);
      }
      Value element = tensor::ExtractOp::create(b, loc, op.getSource(), from);
      return inside ? arith::SelectOp::create(b, loc, inside, element, op.getPaddingValue()) : element;
    });
  }

  Value unpack(linalg::UnPackOp op) {
    SmallVector<Value> tiles = values(op.getMixedTiles());
    const int64_t rank = op.getDestRank();
    return each(op.getDest(), [&](ValueRange at) -> Value {
      SmallVector<Value> from(op.getSourceRank());
      for (int64_t d = 0; d < rank; ++d) {
        Value place = at[d];
        if (int64_t tile = tileOf(op.getInnerDimsPos(), d); tile >= 0) {
          from[rank + tile] = make<arith::RemUIOp>(place, tiles[tile]);
          place = make<arith::DivUIOp>(place, tiles[tile]);
        }
        from[outerOf(op.getOuterDimsPerm(), d)] = place;
      }
      return tensor::ExtractOp::create(b, loc, op.getSource(), from);
    });
  }

  Value bitcast(tensor::BitcastOp op) {
    auto type = cast<RankedTensorType>(op.getType());
    SmallVector<OpFoldResult> shape = tensor::getMixedSizes(b, loc, op.getSource());
    Value out = tensor::EmptyOp::create(b, loc, shape, type.getElementType());
    AffineMap map = b.getMultiDimIdentityMap(type.getRank());
    SmallVector<utils::IteratorType> loops(type.getRank(), utils::IteratorType::parallel);
    Value made = linalg::GenericOp::create(b, loc, TypeRange{out.getType()}, ValueRange{op.getSource()},
                                           ValueRange{out}, ArrayRef{map, map}, loops,
                                           [&](OpBuilder &k, Location, ValueRange v) {
                                             Value bits = v[0].getType() == v[1].getType()
                                                              ? v[0]
                                                              : arith::BitcastOp::create(k, loc, v[1].getType(), v[0]);
                                             linalg::YieldOp::create(k, loc, bits);
                                           })
                     .getResult(0);
    return made.getType() == type ? made : tensor::CastOp::create(b, loc, type, made);
  }

  /// Quotients that round down, so that a negative index has digits of its own; the first digit takes what is left.
  SmallVector<Value> delinearize(affine::AffineDelinearizeIndexOp op) {
    SmallVector<Value> basis = values(op.getEffectiveBasis());
    for (Value size : basis)
      cf::AssertOp::create(b, loc, b.createOrFold<arith::CmpIOp>(loc, arith::CmpIPredicate::sgt, size, index(0)),
                           op->getName().getStringRef().str() + ": expects a basis of positive numbers");
    SmallVector<Value> digits;
    Value rest = op.getLinearIndex();
    for (Value size : llvm::reverse(basis)) {
      Value digit = make<arith::RemSIOp>(rest, size);
      Value up = arith::SelectOp::create(b, loc, less(digit, index(0)), size, index(0));
      digit = make<arith::AddIOp>(digit, up);
      rest = make<arith::DivSIOp>(make<arith::SubIOp>(rest, digit), size);
      digits.push_back(digit);
    }
    digits.push_back(rest);
    return SmallVector<Value>(llvm::reverse(digits));
  }

  Value linearize(affine::AffineLinearizeIndexOp op) {
    SmallVector<Value> basis = values(op.getEffectiveBasis());
    if (op.getMultiIndex().empty())
      return index(0);
    Value sum = op.getMultiIndex().front();
    for (auto [digit, size] : llvm::zip(op.getMultiIndex().drop_front(), basis))
      sum = make<arith::AddIOp>(make<arith::MulIOp>(sum, size), digit);
    return sum;
  }

  IRRewriter &b;
  Location loc;
};

} // namespace

bool isRelayout(Operation *op) {
  return isa<linalg::PackOp, linalg::UnPackOp, linalg::WinogradFilterTransformOp, linalg::WinogradInputTransformOp,
             linalg::WinogradOutputTransformOp, tensor::BitcastOp, affine::AffineDelinearizeIndexOp,
             affine::AffineLinearizeIndexOp>(op);
}

LogicalResult decomposeRelayout(IRRewriter &rewriter, Operation *op) {
  Relayout r(rewriter, op);
  auto constant = [](ArrayRef<OpFoldResult> tiles) {
    return llvm::all_of(tiles, [](OpFoldResult tile) { return getConstantIntValue(tile).has_value(); });
  };
  auto replace = [&](ValueRange values) {
    rewriter.replaceOp(op, values);
    return success();
  };
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](linalg::PackOp pack) -> LogicalResult {
        if (constant(pack.getMixedTiles()) && succeeded(linalg::lowerPack(rewriter, pack)))
          return success();
        return replace(r.pack(pack));
      })
      .Case([&](linalg::UnPackOp unpack) -> LogicalResult {
        if (constant(unpack.getMixedTiles()) && succeeded(linalg::lowerUnPack(rewriter, unpack)))
          return success();
        return replace(r.unpack(unpack));
      })
      .Case([&](linalg::WinogradFilterTransformOp filter) {
        return LogicalResult(linalg::decomposeWinogradFilterTransformOp(rewriter, filter));
      })
      .Case([&](linalg::WinogradInputTransformOp input) {
        return LogicalResult(linalg::decomposeWinogradInputTransformOp(rewriter, input));
      })
      .Case([&](linalg::WinogradOutputTransformOp output) {
        return LogicalResult(linalg::decomposeWinogradOutputTransformOp(rewriter, output));
      })
      .Case([&](tensor::BitcastOp bitcast) { return replace(r.bitcast(bitcast)); })
      .Case([&](affine::AffineDelinearizeIndexOp split) { return replace(r.delinearize(split)); })
      .Case([&](affine::AffineLinearizeIndexOp join) { return replace(r.linearize(join)); });
}

} // namespace stepdown
