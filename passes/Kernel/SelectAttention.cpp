// A transformer.attention that the table has a kernel for becomes its launch, before decompose-operations takes
// operations on caches apart. The kernel goes through a table of tiles of queries, made by a kernel of threads:
// positions of tokens need not follow each other, but only where they do can one tile have many.
#include "dialects/Tile/IR/TileOps.h"
#include "dialects/Transformer/IR/TransformerOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Kernel/KernelTable.h"
#include "passes/Kernel/Passes.h"
#include "passes/Kernel/PlaceKernel.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {
#define GEN_PASS_DEF_SELECTATTENTION
#include "passes/Kernel/Passes.h.inc"

namespace {
constexpr int64_t kDynamic = ShapedType::kDynamic;

/// Numbers of 64 bits, and arrays of numbers, at one place.
struct Numbers {
  OpBuilder &b;
  Location loc;

  Value index(int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); }
  Value constant(Type type, int64_t value) { return arith::ConstantOp::create(b, loc, b.getIntegerAttr(type, value)); }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value sub(Value x, Value y) { return arith::SubIOp::create(b, loc, x, y); }
  Value mul(Value x, Value y) { return arith::MulIOp::create(b, loc, x, y); }
  Value least(Value x, Value y) { return arith::MinSIOp::create(b, loc, x, y); }
  Value greatest(Value x, Value y) { return arith::MaxSIOp::create(b, loc, x, y); }
  Value pieces(Value x, Value size) { return arith::CeilDivSIOp::create(b, loc, x, size); }
  Value size(Value tensor, int64_t d) { return tensor::DimOp::create(b, loc, tensor, d); }
  Value empty(ArrayRef<OpFoldResult> shape, Type element) { return tensor::EmptyOp::create(b, loc, shape, element); }
  Value filled(ArrayRef<OpFoldResult> shape, TypedAttr value) {
    Value element = arith::ConstantOp::create(b, loc, value);
    return linalg::FillOp::create(b, loc, element, empty(shape, value.getType())).getResult(0);
  }
  /// The greatest of each row of `x`, no less than 0.
  Value greatestOf(Value x, int64_t rank) {
    SmallVector<OpFoldResult> shape;
    if (rank == 2)
      shape.push_back(size(x, 0));
    Value zeros = filled(shape, b.getI32IntegerAttr(0));
    return linalg::ReduceOp::create(b, loc, ValueRange{x}, ValueRange{zeros}, ArrayRef<int64_t>{rank - 1},
                                    [](OpBuilder &k, Location loc, ValueRange v) {
                                      Value most = arith::MaxSIOp::create(k, loc, v[0], v[1]);
                                      linalg::YieldOp::create(k, loc, most);
                                    })
        .getResult(0);
  }
};

struct SelectAttention : impl::SelectAttentionBase<SelectAttention> {
  using SelectAttentionBase::SelectAttentionBase;

  /// Whether each token of `positions` [tokens] stands behind the one before it, as i1: what the processor has to know
  /// before it can say how many tiles there are. Many threads look at some tokens each, and one at what they found.
  static Value inOrder(Numbers n, Value positions, Value tokens) {
    OpBuilder &b = n.b;
    const Type i32 = b.getI32Type(), i64 = b.getI64Type();
    constexpr int64_t kEach = 128;
    Value steps = n.greatest(n.sub(tokens, n.index(1)), n.index(0));
    auto from = [&](OpFoldResult offset) -> Value {
      return tensor::ExtractSliceOp::create(b, n.loc, positions, {offset}, {OpFoldResult(steps)}, {b.getIndexAttr(1)});
    };
    Value here = from(b.getIndexAttr(0)), next = from(OpFoldResult(n.sub(tokens, steps)));
    const AffineMap each = b.getMultiDimIdentityMap(1);
    Value apart =
        linalg::GenericOp::create(
            b, n.loc, RankedTensorType::get({kDynamic}, i32), ValueRange{here, next},
            ValueRange{n.empty({OpFoldResult(steps)}, i32)}, ArrayRef<AffineMap>{each, each, each},
            ArrayRef<utils::IteratorType>{utils::IteratorType::parallel},
            [&](OpBuilder &k, Location loc, ValueRange v) {
              Numbers wide{k, loc};
              Value distance =
                  wide.sub(arith::ExtSIOp::create(k, loc, i64, v[1]), arith::ExtSIOp::create(k, loc, i64, v[0]));
              Value other = arith::CmpIOp::create(k, loc, arith::CmpIPredicate::ne, distance, wide.constant(i64, 1));
              linalg::YieldOp::create(k, loc, Value(arith::ExtUIOp::create(k, loc, i32, other)));
            })
            .getResult(0);
    Value groups = n.pieces(steps, n.index(kEach));
    Value more = n.sub(n.mul(groups, n.index(kEach)), steps);
    Value padded =
        tensor::PadOp::create(b, n.loc, RankedTensorType::get({kDynamic}, i32), apart, {b.getIndexAttr(0)},
                              {OpFoldResult(more)}, Value(arith::ConstantOp::create(b, n.loc, b.getI32IntegerAttr(0))));
    Value grouped = tensor::ExpandShapeOp::create(b, n.loc, RankedTensorType::get({kDynamic, kEach}, i32), padded,
                                                  SmallVector<ReassociationIndices>{{0, 1}},
                                                  SmallVector<OpFoldResult>{groups, b.getIndexAttr(kEach)});
    Value any = n.greatestOf(n.greatestOf(grouped, 2), 1);
    Value found = tensor::ExtractOp::create(b, n.loc, any, ValueRange());
    return arith::CmpIOp::create(b, n.loc, arith::CmpIPredicate::eq, found, n.constant(i32, 0));
  }

  /// The table of tiles, see attentionTiles: of `step` tokens each, or where `positions` is null, of tokens that see
  /// all keys.
  static Value tilesOf(Numbers n, const AttentionParameters &p, Value positions, Value tokens, Value keys, Value step) {
    OpBuilder &b = n.b;
    const Type i32 = b.getI32Type();
    Value count = n.pieces(tokens, step);
    SmallVector<Value> inputs;
    SmallVector<AffineMap> maps;
    if (positions) {
      inputs.push_back(tensor::ExtractSliceOp::create(b, n.loc, positions, {b.getIndexAttr(0)}, {OpFoldResult(count)},
                                                      {OpFoldResult(step)}));
      maps.push_back(AffineMap::get(2, 0, {b.getAffineDimExpr(0)}, b.getContext()));
    }
    maps.push_back(b.getMultiDimIdentityMap(2));
    Value room = n.empty({OpFoldResult(count), b.getIndexAttr(5)}, i32);
    return linalg::GenericOp::create(
               b, n.loc, room.getType(), inputs, ValueRange{room}, maps,
               SmallVector<utils::IteratorType>(2, utils::IteratorType::parallel),
               [&](OpBuilder &k, Location loc, ValueRange v) {
                 Numbers in{k, loc};
                 Value zero = in.index(0), i = in.mul(linalg::IndexOp::create(k, loc, 0), step);
                 Value end = in.least(in.add(i, step), tokens);
                 Value key = zero, first = zero, last = keys;
                 if (positions) {
                   // A position behind what is seen by none, or by all, is none that 32 bits do not hold.
                   const int64_t left = p.left < AttentionParameters::kUnbounded ? p.left + 1 : 0;
                   key = in.least(arith::IndexCastOp::create(k, loc, k.getIndexType(), v[0]),
                                  in.add(keys, in.index(left)));
                 }
                 if (p.left < AttentionParameters::kUnbounded)
                   first = in.greatest(in.sub(key, in.index(p.left)), zero);
                 if (p.right < AttentionParameters::kUnbounded)
                   last = in.least(keys, in.add(in.add(key, in.sub(end, i)), in.index(p.right)));
                 // A tile that sees nothing goes through one key, which its mask, or the matrix's end, excludes.
                 last = in.greatest(last, in.add(first, in.index(1)));
                 Value column = linalg::IndexOp::create(k, loc, 1), number = key;
                 const Value others[] = {i, end, first, last};
                 for (int64_t c = 3; c >= 0; --c) {
                   Value here = arith::CmpIOp::create(k, loc, arith::CmpIPredicate::eq, column, in.index(c));
                   number = arith::SelectOp::create(k, loc, here, others[c], number);
                 }
                 linalg::YieldOp::create(k, loc, Value(arith::IndexCastOp::create(k, loc, i32, number)));
               })
        .getResult(0);
  }

  LogicalResult select(AttentionOp op, KernelPlace &place) {
    const CacheType cacheType = op.getCache().getType();
    const RankedTensorType q = op.getQ().getType(), result = op.getResult().getType();
    const int64_t window = op.getWindow(), head = cacheType.getKey(), heads = cacheType.getHeads();
    std::string reason;
    std::optional<AttentionParameters> found =
        selectAttention(chip,
                        {q.getElementType(), result.getElementType(), head, int64_t(cacheType.getValue()),
                         q.getDimSize(0), op.getSinks() != nullptr},
                        reason);
    if (!found) {
      place.leave(op, reason);
      return success();
    }
    AttentionParameters &p = *found;
    p.scale = op.getScale().convertToDouble();
    p.cap = op.getSoftcap().convertToDouble();
    p.left = window && window <= AttentionParameters::kUnbounded ? window - 1 : AttentionParameters::kUnbounded;
    p.right = op.getCausal() ? 0 : AttentionParameters::kUnbounded;
    p.headsOfAKey = q.getDimSize(1) / (heads * head);
    p.firstValue = heads * head; // behind all keys
    FailureOr<std::string> kernel = place.attention(p, op.getLoc());
    if (failed(kernel))
      return failure();

    OpBuilder b(op);
    Numbers n{b, op.getLoc()};
    // What decompose-operations makes of a batch and of a cache.
    auto plain = [&](Value value, ArrayRef<int64_t> shape, Type element) -> Value {
      return UnrealizedConversionCastOp::create(b, n.loc, RankedTensorType::get(shape, element), value).getResult(0);
    };
    Value positions = plain(op.getBatch(), {kDynamic}, b.getI32Type());
    Value cache = plain(op.getCache(), {kDynamic, 2 * heads * head}, cacheType.getElement());
    Value tokens = n.size(op.getQ(), 0), keys = n.size(cache, 0);
    Value fits = arith::CmpIOp::create(b, n.loc, arith::CmpIPredicate::eq, tokens, n.size(positions, 0));
    cf::AssertOp::create(
        b, n.loc, fits,
        "transformer.attention: expects dimension 0 of operand 1 to equal dimension 0 of operand 0, but "
        "they differ");
    const bool placed = p.left < AttentionParameters::kUnbounded || p.right < AttentionParameters::kUnbounded;
    Value step = n.index(p.m);
    if (placed)
      step = arith::SelectOp::create(b, n.loc, inOrder(n, positions, tokens), step, n.index(1));
    Value work = tilesOf(n, p, placed ? positions : Value(), tokens, keys, step);

    Value none = arith::CmpIOp::create(b, n.loc, arith::CmpIPredicate::eq, keys, n.index(0));
    SmallVector<OpFoldResult> shape = {getAsOpFoldResult(tokens), b.getIndexAttr(result.getDimSize(1))};
    if (!result.isDynamicDim(0))
      shape[0] = b.getIndexAttr(result.getDimSize(0));
    Value room = n.empty(shape, result.getElementType()); // of both branches: neither is copied
    auto choice = scf::IfOp::create(
        b, n.loc, none,
        [&](OpBuilder &k, Location loc) {
          Value zero = arith::ConstantOp::create(k, loc, k.getZeroAttr(result.getElementType()));
          scf::YieldOp::create(k, loc, linalg::FillOp::create(k, loc, zero, room).getResult(0));
        },
        [&](OpBuilder &k, Location loc) {
          SmallVector<Value> read = {op.getQ(), cache, cache, work};
          if (Value sinks = op.getSinks()) { // a row of a number for each head
            const int64_t count = op.getSinks().getType().getDimSize(0);
            read.push_back(
                tensor::ExpandShapeOp::create(k, loc, RankedTensorType::get({1, count}, k.getF32Type()), sinks,
                                              SmallVector<ReassociationIndices>{{0, 1}},
                                              SmallVector<OpFoldResult>{k.getIndexAttr(1), k.getIndexAttr(count)}));
          }
          auto launch = tile::LaunchOp::create(k, loc, TypeRange(room.getType()), read, room, *kernel);
          scf::YieldOp::create(k, loc, launch.getResult(0));
        });
    op.replaceAllUsesWith(choice.getResult(0));
    op.erase();
    ++selected;
    return success();
  }

  void runOnOperation() override {
    SmallVector<AttentionOp> work;
    getOperation().walk([&](AttentionOp op) { work.push_back(op); });
    KernelPlace place(getOperation());
    for (AttentionOp op : work)
      if (failed(select(op, place)))
        return signalPassFailure();
  }
};
} // namespace
} // namespace stepdown
