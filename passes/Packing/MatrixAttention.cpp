// Attention by blocks of threads on matrix units: SplitAttention.cpp's splits, chunks and joined sums, of several
// tokens at once. The rows of a block are the query heads that share keys, of tokens that follow each other in one
// sequence. In a chunk
//
//   1. a warp has every so manieth 16 positions: their products with all rows are scores, in memory that threads share;
//   2. eight threads of a row, each with every eighth position, find the row's maximum and turn scores into weights of
//      binary16 and their sums;
//   3. a warp has every so manieth 16 channels: weights by values, added to what it carries.
//
// The same bytes for any batch: a product's row is made of its own row of A alone, chunks begin at multiples of 128
// positions, and what a row does not see has the weight 0, whose products change no sum. So neither which tokens share
// a block nor that a token is alone shows in its row; steps of one token go the same way. A token leads a block where
// its position is a multiple of the block's tokens or it follows no token of its sequence; blocks of other tokens end
// at once.
//
// Queries and keys are rounded to binary16, queries beyond its largest number to that, scores are sums of float32, and
// weights are 4096 exp(score - maximum) in binary16: so weights from 1.5e-8 on are no subnormal numbers, which gfx90a
// takes as zeros. Values that a tile reads must be finite, as with any attention by matrix units: an infinite one shows
// in rows of the block that do not see it, be it behind them or in front of their window.
#include "dialects/Tile/IR/TileOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Packing/ThreadKernel.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {

static constexpr int64_t kTile = 16, kChunk = AttentionSplits::kChunk; ///< rows, positions, channels of a product
static constexpr int64_t kShares = 8;                                  ///< threads that have a row's scores
static constexpr int64_t kPad = 8;                                     ///< numbers behind a row; see BlockMemory
static constexpr int64_t kParts = kShares + 1;      ///< numbers of a row that its threads leave, and one for the banks
static constexpr int64_t kMostSums = 32;            ///< tiles of sums of a block: 64 registers of each thread
static constexpr double kLargestHalf = 65504;       ///< of binary16
static constexpr float kNone = -1e30f;              ///< the maximum of no score: exp(kNone - z) = 0
static constexpr double kWeight = 4096;             ///< of the largest score
static constexpr int64_t kStaticShared = 48 * 1024; ///< bytes that a block may declare (CUDA C++ Programming Guide)

int64_t AttentionSplits::rowsOfTile() const {
  for (int64_t rows : {2 * kTile, kTile}) {
    const int64_t halves = (key + kPad) + (kChunk + kPad), words = (kChunk + kPad) + 2 * kParts + 4;
    const int64_t sums = rows / kTile * (value / kTile);
    if (queries <= rows && sums <= kMostSums && rows * (2 * halves + 4 * words) <= kStaticShared)
      return rows;
  }
  return 0;
}

namespace {
/// What lies in the memory that threads of a block share. Rows of `queries` and `weights` lie four banks apart, so a
/// warp's fragments of 8 rows take one pass on NVIDIA's chips, and two banks on AMD's, whose waves read 16 rows, 8
/// bytes of each, in a pass; rows of `scores` lie eight apart, so threads that go through them meet in no bank, while
/// sums that are left there meet four to a bank; of `tops` and `sums` a thread reads a row of its own in one pass,
/// which leaving them pays with a second.
struct BlockMemory {
  Value queries;         ///< [rows, key] f16
  Value scores, weights; ///< [rows, chunk] f32, f16
  Value tops, sums;      ///< [rows, parts]
  Value maxima, totals;  ///< [rows], of all chunks so far
  Value kept;            ///< [rows], what a chunk leaves of the sums before it
  Value live;            ///< [rows], whether the row sees a position of the split
};
} // namespace

/// `body`'s values where `condition` holds, else `otherwise`; no condition: always.
ThreadKernel::Values ThreadKernel::choose(Value condition, ValueRange otherwise, function_ref<Values()> body) {
  if (!condition)
    return body();
  if (otherwise.empty()) {
    when(condition, [&] { body(); });
    return {};
  }
  auto choice = scf::IfOp::create(*b, loc, TypeRange(otherwise), condition, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(*b);
  b->setInsertionPointToStart(choice.thenBlock());
  scf::YieldOp::create(*b, loc, body());
  b->setInsertionPointToStart(choice.elseBlock());
  scf::YieldOp::create(*b, loc, otherwise);
  return Values(choice.getResults());
}

/// Of a query token, a cache head and a split, where the token leads a block: what attendSplit leaves, of each token.
void ThreadKernel::attendTile(AttentionOp op) {
  const AttentionSplits &s = shared->splits;
  const WarpFragments &w = *s.warp;
  const int64_t rows = s.rows, blocks = rows / kTile, warps = kChunk / w.lanes, most = rows / s.queries;
  const int64_t channelTiles = s.value / kTile, own = llvm::divideCeil(channelTiles, warps);
  Value out = argument(result), keys = argument(op.getCache(), 0), values = argument(op.getCache(), 1);
  argument(op.getBatch(), 2);
  const int64_t window = op.getWindow();
  if (window > 0)
    bound(argument(op.getBatch(), 2), window);
  Value positions = argument(op.getBatch(), 0), sequences = argument(op.getBatch(), 1);
  Type f32 = b->getF32Type(), f16 = b->getF16Type(), i32 = b->getI32Type();
  const int64_t pad = w.innerIsLow() ? kPad : kPad / 2;
  const BlockMemory memory = {sharedMemory({rows, s.key + pad}, f16),
                              sharedMemory({rows, kChunk + kPad}, f32),
                              sharedMemory({rows, kChunk + pad}, f16),
                              sharedMemory({rows, kParts}, f32),
                              sharedMemory({rows, kParts}, f32),
                              sharedMemory({rows}, f32),
                              sharedMemory({rows}, f32),
                              sharedMemory({rows}, f32),
                              sharedMemory({rows}, i32)};
  auto store = [&](Value value, Value to, ValueRange at) { memref::StoreOp::create(*b, loc, value, to, at); };
  auto barrier = [&] { gpu::BarrierOp::create(*b, loc); };
  auto sub = [&](Value x, Value y) -> Value { return arith::SubIOp::create(*b, loc, x, y); };
  auto both = [&](Value x, Value y) -> Value { return arith::AndIOp::create(*b, loc, x, y); };
  auto least = [&](Value x, Value y) -> Value { return arith::MinUIOp::create(*b, loc, x, y); };
  auto equal = [&](Value x, Value y) -> Value {
    return arith::CmpIOp::create(*b, loc, arith::CmpIPredicate::eq, x, y);
  };
  auto notLess = [&](Value x, Value y) -> Value {
    return arith::CmpIOp::create(*b, loc, arith::CmpIPredicate::uge, x, y);
  };
  auto plus = [&](Value x, Value y) -> Value { return arith::AddFOp::create(*b, loc, x, y); };
  auto times = [&](Value x, Value y) -> Value { return arith::MulFOp::create(*b, loc, x, y); };
  auto largest = [&](Value x, Value y) -> Value { return arith::MaximumFOp::create(*b, loc, x, y); };
  auto exp = [&](Value x, Value y) -> Value {
    return math::ExpOp::create(*b, loc, arith::SubFOp::create(*b, loc, x, y));
  };
  auto half = [&](Value x) -> Value { return arith::TruncFOp::create(*b, loc, f16, x); };
  auto finiteHalf = [&](Value x) -> Value { // a NaN stays one
    return half(arith::MinimumFOp::create(*b, loc, largest(x, real(-kLargestHalf)), real(kLargestHalf)));
  };
  Value noHalf = arith::ConstantOp::create(*b, loc, b->getF16FloatAttr(0));

  forEach(s.heads * s.splits * kChunk, out, kChunk, [&](Value token, Value column) {
    Value lane = rem(column, kChunk), block = div(column, kChunk);
    Value head = div(block, s.splits), split = rem(block, s.splits);
    Value warp = div(lane, w.lanes), inWarp = rem(lane, w.lanes);
    Value high = div(inWarp, w.apart()), low = rem(inWarp, w.apart());
    Value outer = w.innerIsLow() ? high : low, inner = w.innerIsLow() ? low : high;
    auto at = [&](WarpFragments::Place place, Value first = {}) {
      Value made = place.outer ? mul(outer, number(place.outer)) : mul(inner, number(place.inner));
      made = add(made, number(place.constant));
      return first ? add(first, made) : made;
    };

    // The tokens of the block, and what any of them sees.
    Value sequence = load(sequences, {token}), position = index(positions, {token});
    Value isFirst = equal(token, number(0)), before = select(isFirst, number(0), sub(token, number(1)));
    Value follows =
        both(equal(load(sequences, {before}), sequence), equal(add(index(positions, {before}), number(1)), position));
    Value inTile = rem(position, most);
    Value leads = arith::OrIOp::create(*b, loc, equal(inTile, number(0)),
                                       select(both(follows, equal(isFirst, no())), no(), yes()));
    Value tokens = memref::DimOp::create(*b, loc, out, 0);
    Value room = select(leads, least(sub(number(most), inTile), sub(tokens, token)), number(1));
    Value count = loop(number(1), room, number(1), [&](Value i, Value sum) -> Value {
      Value there = add(token, i);
      Value next = both(equal(load(sequences, {there}), sequence), equal(index(positions, {there}), add(position, i)));
      return add(sum, select(next, number(1), number(0)));
    });
    auto beginOf = [&](Value end) {
      return window > 0 ? select(less(number(window), end), sub(end, number(window)), number(0)) : number(0);
    };
    Seen seen = {beginOf(add(position, number(1))), add(position, count), {}, {}};
    seen.first = div(seen.begin, kChunk);
    seen.lastChunk = add(div(sub(seen.end, number(1)), kChunk), number(1));
    Value from = firstOf(split, seen);
    when(both(leads, less(from, seen.lastChunk)), [&] {
      Value active = mul(count, number(s.queries)); // rows
      Value more = blocks > 1 ? less(number(kTile), active) : Value();
      Value whole = more ? select(more, number(rows), number(kTile)) : number(kTile);
      auto blockCondition = [&](int64_t m) { return m ? more : Value(); };
      stride(lane, mul(whole, number(s.key / kQuadColumns)), kChunk, {}, [&](Value i, ValueRange) {
        Value row = div(i, s.key / kQuadColumns), channel = mul(rem(i, s.key / kQuadColumns), number(kQuadColumns));
        Value isRow = less(row, active), read = select(isRow, row, number(0));
        Value query = add(mul(head, number(s.queries)), rem(read, s.queries));
        const Values quad =
            quadAt(op.getQ(), add(token, div(read, s.queries)), add(mul(query, number(s.key)), channel));
        for (int64_t e = 0; e < kQuadColumns; ++e)
          store(select(isRow, finiteHalf(quad[e]), noHalf), memory.queries, {row, add(channel, number(e))});
        return Values();
      });
      when(less(lane, number(rows)), [&] {
        store(real(kNone), memory.maxima, {lane});
        store(real(0), memory.totals, {lane});
        Seen mine;
        mine.end = add(add(position, div(lane, s.queries)), number(1));
        mine.begin = beginOf(mine.end);
        mine.first = div(mine.begin, kChunk);
        Value sees = less(mul(firstOf(split, mine), number(kChunk)), mine.end);
        store(arith::ExtUIOp::create(*b, loc, i32, both(less(lane, active), sees)), memory.live, {lane});
      });
      barrier();

      /// Elements of a row of A, of 16 columns from `first` on.
      auto fragmentOfA = [&](Value from, int64_t m, Value first) {
        Values made;
        for (int64_t e = 0; e < w.factors; ++e)
          made.push_back(load(from, {at(w.rowOfA(e), number(m * kTile)), at(w.columnOfA(e), first)}));
        return made;
      };
      /// Elements of B whose rows are neighbours, as `place` indexes the first.
      auto fragmentOfB = [&](Value from, function_ref<Values(Value row, Value column)> place) {
        Values made(w.factors);
        for (int64_t e = 0; e < w.factors / w.neighbours; ++e) {
          const Values where = place(at(w.rowOfB(e)), at(w.columnOfB(e)));
          if (w.neighbours == 1) {
            made[e] = load(from, where);
            continue;
          }
          Value all = vector::LoadOp::create(*b, loc, VectorType::get({w.neighbours}, f16), from, where);
          for (int64_t i = 0; i < w.neighbours; ++i)
            made[e + i * (w.factors / w.neighbours)] = vector::ExtractOp::create(*b, loc, all, i);
        }
        return made;
      };
      auto product = [&](ValueRange a, ValueRange right, ValueRange sum) {
        auto made = tile::WarpMmaOp::create(*b, loc, SmallVector<Type>(sum.size(), f32), a, right, sum);
        return Values(made.getResults());
      };
      auto put = [&](Values &all, int64_t first, ValueRange part) {
        std::copy(part.begin(), part.end(), all.begin() + first);
      };

      const Values zeros(blocks * own * w.held, real(0));
      Values end = stride(from, seen.lastChunk, s.splits, zeros, [&](Value chunk, ValueRange carried) {
        Value base = mul(chunk, number(kChunk));
        Value begins = sub(arith::MaxUIOp::create(*b, loc, seen.begin, base), base);
        Value ends = sub(least(seen.end, add(base, number(kChunk))), base);
        Value firstTile = div(begins, kTile), lastTile = div(add(ends, number(kTile - 1)), kTile);
        auto tileAt = [&](Value tile) {
          return paged(op.getBatch(), token, add(base, mul(tile, number(kTile))), keys);
        };
        stride(warp, lastTile, warps, {}, [&](Value tile, ValueRange) {
          when(notLess(tile, firstTile), [&] {
            const Paged group = tileAt(tile);
            const Values none(blocks * w.held, real(0));
            Values sums = stride(number(0), number(s.key), kTile, none, [&](Value channel, ValueRange before) {
              const Values right = fragmentOfB(keys, [&](Value row, Value k) {
                return cacheIndices(layout.cache.keys, group, head, add(channel, k), row);
              });
              Values next(before);
              for (int64_t m = 0; m < blocks; ++m)
                put(next, m * w.held, choose(blockCondition(m), before.slice(m * w.held, w.held), [&] {
                      return product(fragmentOfA(memory.queries, m, channel), right, before.slice(m * w.held, w.held));
                    }));
              return next;
            });
            for (int64_t m = 0; m < blocks; ++m)
              choose(blockCondition(m), {}, [&] {
                for (int64_t e = 0; e < w.held; ++e) {
                  Value z = times(sums[m * w.held + e], real(op.getScale().convertToDouble()));
                  if (const double cap = op.getSoftcap().convertToDouble(); cap != 0)
                    z = times(math::TanhOp::create(*b, loc, times(z, real(1 / cap))), real(cap));
                  store(z, memory.scores,
                        {at(w.rowOfSum(e), number(m * kTile)), at(w.columnOfSum(e), mul(tile, number(kTile)))});
                }
                return Values();
              });
          });
          return Values();
        });
        barrier();

        // A thread's part of a row: every eighth position of the tiles that are there.
        auto eachPart = [&](function_ref<void(Value row, Value part)> body) {
          stride(lane, mul(whole, number(kShares)), kChunk, {}, [&](Value i, ValueRange) {
            body(div(i, kShares), rem(i, kShares));
            return Values();
          });
        };
        auto eachPosition = [&](Value row, Value part, Value start,
                                function_ref<Value(Value place, Value isSeen, Value carried)> body) {
          Value end = select(less(row, active), add(add(position, div(row, s.queries)), number(1)), number(0));
          Value begin = beginOf(end);
          const int64_t inTile = kTile / kShares;
          return loop(mul(firstTile, number(inTile)), mul(lastTile, number(inTile)), start,
                      [&](Value i, Value before) -> Value {
                        Value place = add(mul(i, number(kShares)), part), there = add(base, place);
                        return body(place, both(less(there, end), notLess(there, begin)), before);
                      });
        };
        eachPart([&](Value row, Value part) {
          Value top = eachPosition(row, part, real(kNone), [&](Value place, Value isSeen, Value before) -> Value {
            return largest(before, select(isSeen, load(memory.scores, {row, place}), real(kNone)));
          });
          store(top, memory.tops, {row, part});
        });
        barrier();
        auto topOf = [&](Value row) {
          Value top = load(memory.maxima, {row});
          for (int64_t part = 0; part < kShares; ++part)
            top = largest(top, load(memory.tops, {row, number(part)}));
          return top;
        };
        eachPart([&](Value row, Value part) {
          Value top = topOf(row);
          Value sum = eachPosition(row, part, real(0), [&](Value place, Value isSeen, Value before) -> Value {
            Value weight = times(exp(load(memory.scores, {row, place}), top), real(kWeight));
            weight = select(isSeen, half(weight), noHalf);
            store(weight, memory.weights, {row, place});
            return plus(before, arith::ExtFOp::create(*b, loc, f32, weight));
          });
          store(sum, memory.sums, {row, part});
        });
        barrier();
        when(less(lane, whole), [&] {
          Value top = topOf(lane), kept = exp(load(memory.maxima, {lane}), top);
          Value total = times(load(memory.totals, {lane}), kept);
          for (int64_t part = 0; part < kShares; ++part)
            total = plus(total, load(memory.sums, {lane, number(part)}));
          store(kept, memory.kept, {lane});
          store(total, memory.totals, {lane});
          store(top, memory.maxima, {lane});
        });
        barrier();

        const int64_t ofBlock = own * w.held;
        Values sums(carried);
        for (int64_t m = 0; m < blocks; ++m)
          put(sums, m * ofBlock, choose(blockCondition(m), carried.slice(m * ofBlock, ofBlock), [&] {
                Values scaled(carried.slice(m * ofBlock, ofBlock));
                for (int64_t i = 0; i < ofBlock; ++i)
                  scaled[i] = times(scaled[i], load(memory.kept, {at(w.rowOfSum(i % w.held), number(m * kTile))}));
                return scaled;
              }));
        return loop(firstTile, lastTile, sums, [&](Value tile, ValueRange before) {
          const Paged group = tileAt(tile);
          Value place = mul(tile, number(kTile));
          SmallVector<Values> right;
          for (int64_t j = 0; j < own; ++j) {
            Value channels = add(warp, number(j * warps));
            Value isTile = (j + 1) * warps > channelTiles ? less(channels, number(channelTiles)) : Value();
            right.push_back(choose(isTile, Values(w.factors, noHalf), [&] {
              Values made = fragmentOfB(values, [&](Value row, Value k) {
                return cacheIndices(layout.cache.values, group, head, add(mul(channels, number(kTile)), row), k);
              });
              for (int64_t e = 0; e < w.factors; ++e) { // what nobody sees may be anything
                Value there = at(w.columnOfB(e), place);
                made[e] = select(both(less(there, ends), notLess(there, begins)), made[e], noHalf);
              }
              return made;
            }));
          }
          Values next(before);
          for (int64_t m = 0; m < blocks; ++m)
            put(next, m * ofBlock, choose(blockCondition(m), before.slice(m * ofBlock, ofBlock), [&] {
                  const Values left = fragmentOfA(memory.weights, m, place);
                  Values made(ofBlock);
                  for (int64_t j = 0; j < own; ++j)
                    put(made, j * w.held, product(left, right[j], before.slice(m * ofBlock + j * w.held, w.held)));
                  return made;
                }));
          return next;
        });
      });

      const int64_t outputs = s.queries * s.value;
      Value place = add(mul(split, number(s.heads)), head);
      auto isLive = [&](Value row) {
        return arith::CmpIOp::create(*b, loc, arith::CmpIPredicate::ne, index(memory.live, {row}), number(0));
      };
      auto tokenOf = [&](Value row) { return add(token, div(row, s.queries)); };
      for (int64_t m = 0; m < blocks; ++m)
        for (int64_t e = 0; e < w.held; ++e) {
          Value row = at(w.rowOfSum(e), number(m * kTile));
          when(isLive(row), [&] {
            Value first = add(mul(place, number(outputs)), mul(rem(row, s.queries), number(s.value)));
            for (int64_t j = 0; j < own; ++j) {
              Value channels = add(warp, number(j * warps));
              Value channel = at(w.columnOfSum(e), mul(channels, number(kTile)));
              Value sum = times(end[(m * own + j) * w.held + e], real(1 / kWeight));
              auto write = [&] { store(sum, out, {tokenOf(row), add(first, channel)}); };
              if ((j + 1) * warps > channelTiles)
                when(less(channels, number(channelTiles)), write);
              else
                write();
            }
          });
        }
      when(less(lane, number(rows)), [&] {
        when(isLive(lane), [&] {
          Value query = add(mul(place, number(s.queries)), rem(lane, s.queries));
          Value first = add(mul(query, number(2)), number(s.sums()));
          store(load(memory.maxima, {lane}), out, {tokenOf(lane), first});
          store(times(load(memory.totals, {lane}), real(1 / kWeight)), out, {tokenOf(lane), add(first, number(1))});
        });
      });
    });
  });
  function->setAttr(tile::kSplitsAttr, b->getDenseI64ArrayAttr({kChunk, s.splits, most, w.lanes}));
}

} // namespace stepdown
