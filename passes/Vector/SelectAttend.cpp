// Attention over the paged cache with online softmax, 16 positions at a time.
//
// A lane owns a position while scores are computed (keys lie [key][16 positions]) and a column while values are summed.
// `rows` query rows - the heads of a group, of one token or of several of the same sequence - share every key and value
// that is loaded. Each row keeps its running maximum m, its sum of weights (16 partial sums) and its weighted values,
// all on the stack and independent of the context. A position that a row may not see has weight exactly 0, and visiting
// 16 of them changes no bit of the row's state, so the result depends on neither tiles, chunks nor cache blocks.
//
// Behind a sequence's end lies what another has left in the block, and before it what a later token of the step has
// brought, NaN and infinities among them, which no weight of 0 makes 0. So where a row hides some of the 16, values are
// added up to the row only of those that it sees. Scores need no such care: a hidden one is replaced.
//
// Keys and values of later positions are fetched while these are computed: blocks of the cache lie anywhere, and
// the first load of each would wait for memory. Where the cache holds blocks of 32 channels, AttendCodes.cpp has scores
// and sums.
#include "dialects/Transformer/IR/CachedRows.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Vector/AttendCodes.h"
#include "passes/Vector/CachedNumbers.h"
#include "passes/Vector/SelectTileOps.h"
#include <optional>

using namespace mlir;
using namespace stepdown::tile;
using namespace stepdown::transformer;

namespace stepdown {
namespace {

constexpr int64_t kAhead = 2;                    ///< how many times 16 positions ahead keys and values are fetched
constexpr double kMasked = -1e30, kNone = -1e29; ///< a hidden score, and the maximum of none: exp(kMasked - kNone) = 0

struct Attention {
  Emitter &e;
  AttendOp op;
  Value q, keys, values, positions, sequences, table, sinks, out;
  int64_t heads, keyDim, valueDim, group; ///< cache heads, columns of a head, query heads of a cache head
  int64_t valueSize;                      ///< elements of a head's value
  Type element;
  bool hasBlocks;
  VectorType lanes;

  Attention(AttendOp op, Emitter &e) : e(e), op(op) {
    q = op.getQ(), keys = op.getKeys(), values = op.getValues(), sinks = op.getSinks(), out = op.getY();
    positions = op.getPositions(), sequences = op.getSequences(), table = op.getTable();
    auto keyType = cast<MemRefType>(keys.getType());
    element = keyType.getElementType(), heads = keyType.getDimSize(1);
    keyDim = cachedChannels(element, keyType.getDimSize(3));
    valueSize = cast<MemRefType>(values.getType()).getDimSize(3), valueDim = cachedChannels(element, valueSize);
    hasBlocks = element.isInteger(8);
    group = cast<MemRefType>(q.getType()).getDimSize(1) * e.lanes / (heads * keyDim);
    lanes = e.vec(e.f32);
  }

  Value indexAt(Value memref, ValueRange at) { return e.cast(memref::LoadOp::create(e.b, e.loc, memref, at), e.index); }
  Value widen(Value pointer) { return widenCached(e, element, pointer); }
  /// Rows whose sums stay in registers, in equal parts.
  int64_t rowsAtOnce(int64_t rows) {
    const int64_t most = e.target.unrolling.queryRows, parts = (rows + most - 1) / most;
    return (rows + parts - 1) / parts;
  }
  void choose(Value condition, function_ref<void()> then, function_ref<void()> otherwise) {
    auto branch = scf::IfOp::create(e.b, e.loc, condition, true);
    OpBuilder::InsertionGuard guard(e.b);
    e.b.setInsertionPointToStart(branch.thenBlock());
    then();
    e.b.setInsertionPointToStart(branch.elseBlock());
    otherwise();
  }
  Value minimum(Value a, Value c) { return e.select(e.less(a, c), a, c); }
  /// Which of `places` rows at positions `p` may not see; both are lanes.
  Value hides(Value p, Value places) {
    Value hidden = e.less(p, places);
    if (op.getWindow() == 0)
      return hidden;
    Value begin = e.sub(p, e.splat(e.vec(e.i32), op.getWindow() - 1));
    return arith::OrIOp::create(e.b, e.loc, hidden, e.less(places, begin));
  }

  /// Tokens [first, first + tokens) of one sequence with cache head `head`; what token `next` sees first is fetched
  /// towards the end, where that is one.
  void attend(Value head, Value first, int64_t tokens, Value next);
  /// Which 16 positions a row at `position` sees first.
  Value firstSeen(Value position);
  void scores(int64_t rows, Value keyPointer, Value later, Value query, Value weights);
  void weigh(int64_t rows, Value firstPosition, Value rowPositions, Value weights, Value state, Value sums,
             AttendCodes *codes);
  void accumulate(int64_t rows, Value valuePointer, Value later, Value weights, Value sums);
  void accumulateSeen(int64_t rows, Value firstPosition, Value rowPositions, Value lowest, Value highest,
                      Value valuePointer, Value later, Value weights, Value sums);
  void fetchValues(Value later, Value column);
  void finish(int64_t rows, Value head, Value first, Value state, Value sums);
};

/// weights[row][16] = q[row] . k of 16 positions. query is [keyDim][rows]. Keys at `later` are fetched meanwhile.
void Attention::scores(int64_t rows, Value keyPointer, Value later, Value query, Value weights) {
  const int64_t atOnce = rowsAtOnce(rows), unroll = keyDim % 4 == 0 ? 4 : 1;
  const int64_t bytes = e.lanes * element.getIntOrFloatBitWidth() / 8;
  for (int64_t r0 = 0; r0 < rows; r0 += atOnce) {
    const int64_t count = std::min(atOnce, rows - r0);
    Emitter::Values zero(count, e.splat(lanes, 0.0));
    auto sums = e.loop(e.number(0), e.number(keyDim), unroll, zero, [&](Value d, ValueRange carried) {
      Emitter::Values next(carried.begin(), carried.end());
      for (int64_t line = 0; r0 == 0 && line < unroll * bytes; line += 64)
        e.prefetch(e.at(e.at(later, line), d, bytes), false);
      for (int64_t u = 0; u < unroll; ++u) {
        Value k = widen(e.at(e.at(keyPointer, u * bytes), d, bytes));
        Value row = e.at(e.at(query, 4 * (u * rows + r0)), d, 4 * rows);
        for (int64_t i = 0; i < count; ++i)
          next[i] = e.fma(e.loadSpread(e.f32, e.at(row, 4 * i)), k, next[i]);
      }
      return next;
    });
    for (int64_t i = 0; i < count; ++i)
      e.store(sums[i], e.at(weights, 64 * (r0 + i)));
  }
}

/// Scores become weights; where a row's maximum grows, what it has summed is scaled down. state is [rows][1 + 16]: m,
/// and the partial sums of weights, 128 bytes a row.
void Attention::weigh(int64_t rows, Value firstPosition, Value rowPositions, Value weights, Value state, Value sums,
                      AttendCodes *codes) {
  SmallVector<int32_t> iota;
  for (int32_t i = 0; i < e.lanes; ++i)
    iota.push_back(i);
  Value places = arith::ConstantOp::create(e.b, e.loc, DenseElementsAttr::get(e.vec(e.i32), ArrayRef<int32_t>(iota)));
  places = e.add(places, e.spread(e.cast(firstPosition, e.i32)));
  const double softcap = op.getSoftcap().convertToDouble();
  e.loop(e.number(rows), [&](Value r) {
    Value score = e.load(lanes, e.at(weights, r, 64));
    if (codes)
      score = e.mul(score, codes->unit(r));
    if (softcap != 0)
      score = e.mul(e.tanh(e.mul(score, e.splat(lanes, 1.0 / softcap))), e.splat(lanes, softcap));
    Value p = e.loadSpread(e.i32, e.at(rowPositions, r, 4));
    score = e.select(hides(p, places), e.splat(lanes, kMasked), score);
    Value mine = e.at(state, r, 128), partial = e.at(mine, 64);
    Value m = e.load(e.f32, mine);
    e.when(e.any(e.less(e.spread(m), score)), [&] { // seldom, once some positions are seen
      Value largest = e.maxLanes(score);
      Value factor = e.spread(e.exp(e.sub(m, largest)));
      e.store(largest, mine);
      e.store(e.mul(e.load(lanes, partial), factor), partial);
      e.loop(e.number(valueDim / e.lanes), [&](Value c) {
        Value place = e.at(e.at(sums, r, 4 * valueDim), c, 64);
        e.store(e.mul(e.load(lanes, place), factor), place);
      });
    });
    Value weight = e.exp(e.sub(score, e.spread(e.load(e.f32, mine))));
    e.store(e.add(e.load(lanes, partial), weight), partial);
    e.store(weight, e.at(weights, r, 64));
  });
}

/// A column's share of the 16 values at `later`.
void Attention::fetchValues(Value later, Value column) {
  const int64_t share = e.lanes * valueSize * element.getIntOrFloatBitWidth() / 8 / (valueDim / e.lanes); // bytes
  for (int64_t line = 0; line < share; line += 64)
    e.prefetch(e.at(e.at(later, line), column, share), false);
}

/// sums[row][valueDim] += weights[row][16] . v. Values at `later` are fetched meanwhile.
void Attention::accumulate(int64_t rows, Value valuePointer, Value later, Value weights, Value sums) {
  const int64_t atOnce = rowsAtOnce(rows), elementBytes = element.getIntOrFloatBitWidth() / 8;
  e.loop(e.number(valueDim / e.lanes), [&](Value c) {
    fetchValues(later, c);
    Value column = e.at(valuePointer, c, e.lanes * elementBytes), mine = e.hide(weights);
    for (int64_t r0 = 0; r0 < rows; r0 += atOnce) {
      const int64_t count = std::min(atOnce, rows - r0);
      Emitter::Values place, sum;
      for (int64_t i = 0; i < count; ++i) {
        place.push_back(e.at(e.at(sums, 4 * valueDim * (r0 + i)), c, 64));
        sum.push_back(e.load(lanes, place.back()));
      }
      for (int64_t j = 0; j < e.lanes; ++j) {
        Value v = widen(e.at(column, j * valueSize * elementBytes));
        for (int64_t i = 0; i < count; ++i)
          sum[i] = e.fma(e.loadSpread(e.f32, e.at(mine, 64 * (r0 + i) + 4 * j)), v, sum[i]);
      }
      for (int64_t i = 0; i < count; ++i)
        e.store(sum[i], place[i]);
    }
  });
}

/// The same, in the same order, where a row sees some of the 16 positions: of the others whatever lies there
/// is left out. Rows are at positions `lowest` to `highest`.
void Attention::accumulateSeen(int64_t rows, Value firstPosition, Value rowPositions, Value lowest, Value highest,
                               Value valuePointer, Value later, Value weights, Value sums) {
  const int64_t atOnce = rowsAtOnce(rows), elementBytes = element.getIntOrFloatBitWidth() / 8;
  // Those that some row sees; rows of one token see all of these.
  Value begin = e.number(0), beyond = arith::SubIOp::create(e.b, e.loc, e.addI(highest, 1), firstPosition);
  Value end = minimum(beyond, e.number(e.lanes));
  if (op.getWindow() > 0) {
    Value edge = arith::SubIOp::create(e.b, e.loc, e.addI(lowest, 1 - op.getWindow()), firstPosition);
    begin = e.max(edge, begin);
  }
  e.loop(e.number(valueDim / e.lanes), [&](Value c) {
    fetchValues(later, c);
    Value column = e.at(valuePointer, c, e.lanes * elementBytes);
    for (int64_t r0 = 0; r0 < rows; r0 += atOnce) {
      const int64_t count = std::min(atOnce, rows - r0);
      Emitter::Values place, sum;
      for (int64_t i = 0; i < count; ++i) {
        place.push_back(e.at(e.at(sums, 4 * valueDim * (r0 + i)), c, 64));
        sum.push_back(e.load(lanes, place.back()));
      }
      sum = e.loop(begin, end, 1, sum, [&](Value j, ValueRange carried) {
        Emitter::Values next;
        Value v = widen(e.at(column, j, valueSize * elementBytes)), position;
        if (rows > group)
          position = e.spread(e.cast(e.add(firstPosition, j), e.i32));
        for (int64_t i = 0; i < count; ++i) {
          Value weight = e.loadSpread(e.f32, e.at(e.at(weights, 64 * (r0 + i)), j, 4));
          next.push_back(e.fma(weight, v, carried[i]));
          if (!position)
            continue;
          Value hidden = hides(e.loadSpread(e.i32, e.at(rowPositions, 4 * (r0 + i))), position);
          next.back() = e.select(hidden, carried[i], next.back());
        }
        return next;
      });
      for (int64_t i = 0; i < count; ++i)
        e.store(sum[i], place[i]);
    }
  });
}

void Attention::finish(int64_t rows, Value head, Value first, Value state, Value sums) {
  const double unit = cachedUnit(element); // that values were divided by
  for (int64_t r = 0; r < rows; ++r) {
    Value mine = e.at(state, 128 * r);
    Value total = e.sumLanes(e.load(lanes, e.at(mine, 64))), factor = e.splat(e.f32, unit);
    Value queryHead = e.addI(e.mul(head, e.number(group)), r % group);
    if (sinks) { // one more term of the denominator
      Value m = e.load(e.f32, mine);
      Value z = memref::LoadOp::create(e.b, e.loc, sinks, ValueRange{queryHead});
      Value top = e.max(m, z);
      Value share = e.exp(e.sub(m, top));
      total = e.add(e.mul(total, share), e.exp(e.sub(z, top)));
      factor = unit == 1 ? share : e.mul(share, factor);
    }
    Value none = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, total, e.splat(e.f32, 0.0));
    Value inverse = arith::DivFOp::create(e.b, e.loc, factor, total);
    inverse = e.spread(e.select(none, e.splat(e.f32, 0.0), inverse));
    Value to = e.pointer(out, {e.addI(first, r / group), e.mul(queryHead, e.number(valueDim / e.lanes))});
    e.loop(e.number(valueDim / e.lanes), [&](Value c) {
      e.store(e.mul(e.load(lanes, e.at(e.at(sums, 4 * valueDim * r), c, 64)), inverse), e.at(to, c, 64));
    });
  }
}

Value Attention::firstSeen(Value position) {
  if (op.getWindow() == 0)
    return e.number(0);
  Value edge = e.addI(position, 1 - op.getWindow());
  return arith::DivUIOp::create(e.b, e.loc, e.max(edge, e.number(0)), e.number(e.lanes));
}

void Attention::attend(Value head, Value first, int64_t tokens, Value next) {
  const int64_t rows = tokens * group;
  Value weights = e.scratch(64 * rows), state = e.scratch(128 * rows);
  Value sums = e.scratch(4 * valueDim * rows), rowPositions = e.scratch(4 * rows);
  Value query = hasBlocks ? Value() : e.scratch(4 * keyDim * rows);
  std::optional<AttendCodes> codes;
  if (hasBlocks)
    codes.emplace(e, rows, keyDim, valueDim, rowsAtOnce(rows));
  Value scale = e.splat(e.f32, op.getScale().convertToDouble() * cachedUnit(element));
  Value sequence = indexAt(sequences, {first}), lowest, highest;
  for (int64_t t = 0; t < tokens; ++t) {
    Value token = e.addI(first, t), p = indexAt(positions, {token});
    lowest = lowest ? minimum(lowest, p) : p;
    highest = highest ? e.max(highest, p) : p;
    for (int64_t g = 0; g < group; ++g) {
      const int64_t row = t * group + g;
      e.store(e.cast(p, e.i32), e.at(rowPositions, 4 * row));
      Value column = e.mul(e.addI(e.mul(head, e.number(group)), g), e.number(keyDim));
      Value from = e.at(e.pointer(q, {token, e.number(0)}), column, 4);
      if (codes) {
        codes->open(from, row, scale);
        continue;
      }
      e.loop(e.number(keyDim), [&](Value d) {
        Value x = e.load(e.f32, e.at(from, d, 4));
        e.store(e.mul(x, scale), e.at(e.at(query, 4 * row), d, 4 * rows));
      });
    }
  }
  Value zero = e.splat(lanes, 0.0);
  e.loop(e.number(rows), [&](Value r) {
    e.store(e.splat(e.f32, kNone), e.at(state, r, 128));
    e.store(zero, e.at(e.at(state, 64), r, 128));
    e.loop(e.number(valueDim / e.lanes), [&](Value c) { e.store(zero, e.at(e.at(sums, r, 4 * valueDim), c, 64)); });
  });

  Value begin = firstSeen(lowest);
  Value end = e.addI(arith::DivUIOp::create(e.b, e.loc, highest, e.number(e.lanes)), 1);
  Value perBlock = e.dim(keys, 2), isLast = e.less(e.addI(e.dim(q, 0), -1), next);
  Value other = minimum(next, e.addI(e.dim(q, 0), -1)), otherSequence = indexAt(sequences, {other});
  Value otherFirst = firstSeen(indexAt(positions, {other}));
  otherSequence = e.select(isLast, sequence, otherSequence);
  otherFirst = e.select(isLast, e.addI(end, -1), otherFirst);
  Value otherLast =
      e.select(isLast, otherFirst, arith::DivUIOp::create(e.b, e.loc, indexAt(positions, {other}), e.number(e.lanes)));
  e.loop(begin, end, 1, {}, [&](Value j, ValueRange) {
    Value block = indexAt(table, {sequence, arith::DivUIOp::create(e.b, e.loc, j, perBlock)});
    Value inBlock = arith::RemUIOp::create(e.b, e.loc, j, perBlock);
    e.when(arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::sge, block, e.number(0)), [&] {
      Value soon = e.addI(j, kAhead), beyond = arith::SubIOp::create(e.b, e.loc, soon, end);
      Value mine = e.less(soon, end);
      soon = e.select(mine, soon, minimum(e.add(otherFirst, beyond), otherLast));
      Value soonBlock =
          indexAt(table, {e.select(mine, sequence, otherSequence), arith::DivUIOp::create(e.b, e.loc, soon, perBlock)});
      Value soonInBlock = arith::RemUIOp::create(e.b, e.loc, soon, perBlock);
      Value laterK = e.pointer(keys, {soonBlock, head, soonInBlock, e.number(0), e.number(0)});
      Value laterV = e.pointer(values, {soonBlock, head, e.mul(soonInBlock, e.number(e.lanes)), e.number(0)});
      Value k = e.pointer(keys, {block, head, inBlock, e.number(0), e.number(0)});
      Value v = e.pointer(values, {block, head, e.mul(inBlock, e.number(e.lanes)), e.number(0)});
      Value position = e.mul(j, e.number(e.lanes));
      codes ? codes->scores(k, laterK, weights) : scores(rows, k, laterK, query, weights);
      weigh(rows, position, rowPositions, weights, state, sums, codes ? &*codes : nullptr);
      if (codes) // they are finite
        return codes->accumulate(v, laterV, weights, sums);
      Value seen = e.less(e.addI(position, e.lanes - 1), e.addI(lowest, 1));
      if (op.getWindow() > 0)
        seen = arith::AndIOp::create(e.b, e.loc, seen, e.less(highest, e.addI(position, op.getWindow())));
      choose(
          seen, [&] { accumulate(rows, v, laterV, weights, sums); },
          [&] { accumulateSeen(rows, position, rowPositions, lowest, highest, v, laterV, weights, sums); });
    });
    return Emitter::Values();
  });
  finish(rows, head, first, state, sums);
}

} // namespace

void selectAttend(AttendOp op, Emitter &e) {
  Attention attention(op, e);
  const int64_t tile = cast<MemRefType>(attention.q.getType()).getDimSize(0) == 1 ? 1 : 4;
  Value count = e.dim(attention.q, 0);
  e.loop(e.number(attention.heads), [&](Value head) {
    if (tile == 1)
      return e.loop(count, [&](Value t) { attention.attend(head, t, 1, e.addI(t, 1)); });
    // `tile` tokens of one sequence together, others one by one.
    e.loop(e.number(0), count, tile, {}, [&](Value t, ValueRange) {
      Value together = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::sle, e.addI(t, tile), count);
      Value last = arith::MinSIOp::create(e.b, e.loc, e.addI(t, tile - 1), e.addI(count, -1));
      Value same = e.splat(e.b.getI1Type(), 1), s = attention.indexAt(attention.sequences, {t});
      for (int64_t i = 1; i < tile; ++i) {
        Value other = arith::MinSIOp::create(e.b, e.loc, e.addI(t, i), last);
        Value equal = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::eq, s,
                                            attention.indexAt(attention.sequences, {other}));
        same = arith::AndIOp::create(e.b, e.loc, same, equal);
      }
      together = arith::AndIOp::create(e.b, e.loc, together, same);
      auto oneByOne = [&] {
        e.loop(t, e.addI(last, 1), 1, {}, [&](Value one, ValueRange) {
          attention.attend(head, one, 1, e.addI(one, 1));
          return Emitter::Values();
        });
      };
      attention.choose(together, [&] { attention.attend(head, t, tile, e.addI(t, tile)); }, oneByOne);
      return Emitter::Values();
    });
  });
  op.erase();
}

} // namespace stepdown
