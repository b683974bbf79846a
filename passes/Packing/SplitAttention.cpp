// Attention by blocks of threads over the paged cache: the positions that a query sees are shared out among splits, a
// block of threads each, and what those leave is joined by a second function (T. Dao et al. 2023, "Flash-Decoding").
//
// The tree of sums is that of positions alone, so a result has the same bytes whatever else is in the step and however
// the context came into the cache. Positions lie in chunks of 128; chunk c is split (c mod splits)'s. A split goes
// through its chunks in their order with a running maximum of each query head. In a chunk
//
//   1. a thread has a position: it reads its key once for all query heads that share it, and leaves their scores;
//   2. threads find the chunk's maxima, 16 at first, and turn their scores into weights;
//   3. teams of threads have every so manieth position: a thread reads four channels of the value once for all query
//      heads, and adds them up times their weights, and the weights.
//
// Behind the last chunk the teams' sums are added up in order; splits are joined in order by whoever computes a number
// of the result. Positions that a query does not see have no weight, and are not read.
#include "dialects/Tile/IR/TileOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "passes/Packing/ThreadKernel.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {

static constexpr int64_t kChunk = AttentionSplits::kChunk;
static constexpr int64_t kMostSplits = 16; ///< of a context
static constexpr int64_t kMostQueries = 8; ///< query heads that share keys
static constexpr int64_t kTops = 16;       ///< maxima of parts of a chunk
static constexpr int64_t kChannels = 4;    ///< of a value that a thread adds up
static constexpr float kNone = -1e30f;     ///< the maximum of no score: exp(kNone - z) = 0

std::optional<AttentionSplits> AttentionSplits::of(AttentionOp op, int64_t positions,
                                                   const std::optional<WarpFragments> &warp) {
  const CacheType type = op.getCache().getType();
  AttentionSplits s;
  s.heads = type.getHeads(), s.key = type.getKey(), s.value = type.getValue();
  s.queries = op.getQ().getType().getDimSize(1) / (s.key * s.heads);
  if (!op.getCausal() || !isRows(op.getQ().getType()))
    return std::nullopt;
  s.rows = warp && type.getElement().isF16() && s.key % 16 == 0 && s.value % 16 == 0 ? s.rowsOfTile() : 0;
  if (s.rows)
    s.warp = warp;
  else if (s.queries > kMostQueries || s.key % kChannels || s.value % kChannels || s.value / kChannels > kChunk)
    return std::nullopt;
  const int64_t seen = op.getWindow() > 0 ? std::min<int64_t>(positions, op.getWindow() + kChunk - 1) : positions;
  s.splits = std::clamp<int64_t>(llvm::divideCeil(seen, kChunk), 1, kMostSplits);
  return s;
}

ThreadKernel::Seen ThreadKernel::seenBy(AttentionOp op, Value token) {
  Value position = index(argument(op.getBatch(), 0), {token});
  Seen seen = {number(0), add(position, number(1)), {}, add(div(position, kChunk), number(1))};
  if (const int64_t window = op.getWindow(); window > 0)
    seen.begin =
        select(less(number(window), seen.end), arith::SubIOp::create(*b, loc, seen.end, number(window)), seen.begin);
  seen.first = div(seen.begin, kChunk);
  return seen;
}

/// The first chunk of `split`, at or behind the first that is seen.
Value ThreadKernel::firstOf(Value split, const Seen &seen) {
  const int64_t splits = shared->splits.splits;
  Value ahead = arith::SubIOp::create(*b, loc, add(split, number(splits)), rem(seen.first, splits));
  return add(seen.first, rem(ahead, splits));
}

/// A loop in steps; `when` of what a thread does alone.
ThreadKernel::Values ThreadKernel::stride(Value lower, Value upper, int64_t step, ValueRange start,
                                          function_ref<Values(Value, ValueRange)> body) {
  auto made = scf::ForOp::create(*b, loc, lower, upper, number(step), start);
  OpBuilder::InsertionGuard guard(*b);
  b->setInsertionPointToStart(made.getBody());
  Values carried = body(made.getInductionVar(), made.getRegionIterArgs());
  if (!start.empty())
    scf::YieldOp::create(*b, loc, carried);
  return Values(made.getResults());
}

void ThreadKernel::when(Value condition, function_ref<void()> body) {
  auto choice = scf::IfOp::create(*b, loc, condition);
  OpBuilder::InsertionGuard guard(*b);
  b->setInsertionPointToStart(choice.thenBlock());
  body();
}

/// The products of the query heads that share the key at `at` with it.
ThreadKernel::Values ThreadKernel::scores(AttentionOp op, Value token, Value head, Value keys, const Paged &at) {
  const AttentionSplits &s = shared->splits;
  Values sums;
  Value firstQuery = mul(head, number(s.queries * s.key));
  // Channels of the key that are on their way at a time, and queries that take them. Queries of a block are scalars, of
  // which AMD's chips have about a hundred: more of either would spill some. Other queries read the key again.
  const int64_t together = s.key % 8 ? kQuadColumns : 2 * kQuadColumns;
  constexpr int64_t kQueries = 4;
  for (int64_t first = 0; first < s.queries; first += kQueries) {
    const int64_t some = std::min(kQueries, s.queries - first);
    llvm::append_range(
        sums, stride(number(0), number(s.key), together, Values(some, real(0)), [&](Value i, ValueRange carried) {
          Values next(carried), key;
          for (int64_t e = 0; e < together; ++e)
            key.push_back(cached(keys, true, at, head, add(i, number(e))));
          for (int64_t g = 0; g < some; ++g)
            for (int64_t quad = 0; quad < together; quad += kQuadColumns) {
              const Values q = quadAt(op.getQ(), token, add(firstQuery, add(i, number((first + g) * s.key + quad))));
              for (int64_t e = 0; e < kQuadColumns; ++e)
                next[g] = math::FmaOp::create(*b, loc, q[e], key[quad + e], next[g]);
            }
          return next;
        }));
  }
  for (Value &z : sums) {
    z = arith::MulFOp::create(*b, loc, z, real(op.getScale().convertToDouble()));
    if (const double cap = op.getSoftcap().convertToDouble(); cap != 0) {
      Value inner = arith::MulFOp::create(*b, loc, z, real(1 / cap));
      z = arith::MulFOp::create(*b, loc, math::TanhOp::create(*b, loc, inner), real(cap));
    }
  }
  return sums;
}

/// Of a query token, a cache head and a split: of each query head the maximum, the sum of weights and the weighted sum
/// of values, where `partial` has them (see shareAttention).
void ThreadKernel::attendSplit(AttentionOp op) {
  const AttentionSplits &s = shared->splits;
  const int64_t team = s.value / kChannels, teams = kChunk / team, outputs = s.queries * s.value;
  Value out = argument(result), keys = argument(op.getCache(), 0), values = argument(op.getCache(), 1);
  argument(op.getBatch(), 2);
  if (op.getWindow() > 0)
    bound(argument(op.getBatch(), 2), op.getWindow());
  auto sharedMemory = [&](ArrayRef<int64_t> shape, Type element) -> Value {
    auto space = gpu::AddressSpaceAttr::get(b->getContext(), gpu::AddressSpace::Workgroup);
    return memref::AllocaOp::create(*b, loc, MemRefType::get(shape, element, MemRefLayoutAttrInterface(), space));
  };
  Type f32 = b->getF32Type();
  Value weights = sharedMemory({s.queries, kChunk}, f32), tops = sharedMemory({s.queries, kTops}, f32);
  Value places = sharedMemory({2, kChunk}, b->getI32Type());
  Value partSums = sharedMemory({teams, outputs}, f32), partWeights = sharedMemory({teams, s.queries}, f32);
  auto store = [&](Value value, Value to, ValueRange at) { memref::StoreOp::create(*b, loc, value, to, at); };
  auto barrier = [&] { gpu::BarrierOp::create(*b, loc); };
  auto plus = [&](Value x, Value y) -> Value { return arith::AddFOp::create(*b, loc, x, y); };
  auto times = [&](Value x, Value y) -> Value { return arith::MulFOp::create(*b, loc, x, y); };
  auto exp = [&](Value x, Value y) -> Value {
    return math::ExpOp::create(*b, loc, arith::SubFOp::create(*b, loc, x, y));
  };
  auto most = [&](Value x, Value y) -> Value { return arith::MaximumFOp::create(*b, loc, x, y); };
  auto whole = [&](Value x) -> Value { return arith::IndexCastOp::create(*b, loc, b->getI32Type(), x); };

  forEach(s.heads * s.splits * kChunk, out, kChunk, [&](Value token, Value column) {
    Value lane = rem(column, kChunk), block = div(column, kChunk);
    Value head = div(block, s.splits), split = rem(block, s.splits);
    const Seen seen = seenBy(op, token);
    Value from = firstOf(split, seen);
    when(less(from, seen.lastChunk), [&] {
      Value mine = div(lane, team), channel = mul(rem(lane, team), number(kChannels));
      Value inTeam = less(lane, number(team * teams));
      // Carried: maxima, sums of weights, sums of values.
      Values start(s.queries, real(kNone));
      start.append(s.queries * (1 + kChannels), real(0));
      Values end = stride(from, seen.lastChunk, s.splits, start, [&](Value chunk, ValueRange before) {
        Value base = mul(chunk, number(kChunk)), position = add(base, lane);
        auto least = [&](Value x, Value y) -> Value { return arith::MinUIOp::create(*b, loc, x, y); };
        Value low = arith::SubIOp::create(*b, loc, arith::MaxUIOp::create(*b, loc, seen.begin, base), base);
        Value high = arith::SubIOp::create(*b, loc, least(seen.end, add(base, number(kChunk))), base);
        Value inside = arith::AndIOp::create(*b, loc, less(lane, high),
                                             arith::CmpIOp::create(*b, loc, arith::CmpIPredicate::uge, lane, low));
        auto choice = scf::IfOp::create(*b, loc, TypeRange(Values(s.queries, real(0))), inside, true);
        {
          OpBuilder::InsertionGuard guard(*b);
          b->setInsertionPointToStart(choice.thenBlock());
          const Paged at = paged(op.getBatch(), token, position, keys);
          store(whole(at.block), places, {number(0), lane});
          store(whole(at.place), places, {number(1), lane});
          scf::YieldOp::create(*b, loc, scores(op, token, head, keys, at));
          b->setInsertionPointToStart(choice.elseBlock());
          scf::YieldOp::create(*b, loc, Values(s.queries, real(kNone)));
        }
        Values score(choice.getResults()), next(before);
        for (int64_t g = 0; g < s.queries; ++g)
          store(score[g], weights, {number(g), lane});
        barrier();
        when(less(lane, number(s.queries * kTops)), [&] {
          Value g = div(lane, kTops), part = rem(lane, kTops), top = load(weights, {g, part});
          for (int64_t e = kTops; e < kChunk; e += kTops)
            top = most(top, load(weights, {g, add(part, number(e))}));
          store(top, tops, {g, part});
        });
        barrier();
        for (int64_t g = 0; g < s.queries; ++g) {
          for (int64_t part = 0; part < kTops; ++part)
            next[g] = most(next[g], load(tops, {number(g), number(part)}));
          store(exp(score[g], next[g]), weights, {number(g), lane});
          Value kept = exp(before[g], next[g]);
          for (int64_t i = 0; i < 1 + kChannels; ++i) {
            Value &sum = next[s.queries + g * (1 + kChannels) + i];
            sum = times(sum, kept);
          }
        }
        barrier();
        Value own = select(inTeam, add(low, mine), high); // a thread of no team has no position
        Values sums(llvm::drop_begin(next, s.queries));
        // Four positions at a time, whose values are on their way together, then what is left; added up one by one.
        auto addUp = [&](ValueRange positions, ValueRange carried) {
          SmallVector<Values> read;
          for (Value j : positions)
            read.push_back(
                valueAt(values, {index(places, {number(0), j}), index(places, {number(1), j})}, head, channel));
          Values now(carried);
          for (auto [j, value] : llvm::zip(positions, read))
            for (int64_t g = 0; g < s.queries; ++g) {
              Value weight = load(weights, {number(g), j}), *sum = &now[g * (1 + kChannels)];
              sum[0] = plus(sum[0], weight);
              for (int64_t i = 0; i < kChannels; ++i)
                sum[1 + i] = math::FmaOp::create(*b, loc, weight, value[i], sum[1 + i]);
            }
          return now;
        };
        const int64_t together = 4;
        Value room = arith::SubIOp::create(*b, loc, high, least(high, own)); // positions from its first on
        Value groups = div(room, together * teams), behind = add(own, mul(groups, number(together * teams)));
        sums = stride(own, behind, together * teams, sums, [&](Value j, ValueRange carried) {
          Values positions = {j};
          for (int64_t i = 1; i < together; ++i)
            positions.push_back(add(j, number(i * teams)));
          return addUp(positions, carried);
        });
        sums = stride(behind, high, teams, sums, [&](Value j, ValueRange carried) { return addUp(j, carried); });
        barrier();
        std::copy(sums.begin(), sums.end(), next.begin() + s.queries);
        return next;
      });
      when(inTeam, [&] {
        for (int64_t g = 0; g < s.queries; ++g) {
          Value *sum = &end[s.queries + g * (1 + kChannels)];
          for (int64_t i = 0; i < kChannels; ++i)
            store(sum[1 + i], partSums, {mine, add(channel, number(g * s.value + i))});
          when(arith::CmpIOp::create(*b, loc, arith::CmpIPredicate::eq, channel, number(0)),
               [&] { store(sum[0], partWeights, {mine, number(g)}); });
        }
      });
      barrier();
      auto total = [&](Value parts, Value at) {
        Value sum = load(parts, {number(0), at});
        for (int64_t k = 1; k < teams; ++k)
          sum = plus(sum, load(parts, {number(k), at}));
        return sum;
      };
      Value place = add(mul(split, number(s.heads)), head);
      stride(lane, number(outputs), kChunk, {}, [&](Value i, ValueRange) {
        store(total(partSums, i), out, {token, add(mul(place, number(outputs)), i)});
        return Values();
      });
      when(less(lane, number(s.queries)), [&] {
        Value top = end[0];
        for (int64_t g = 1; g < s.queries; ++g)
          top = select(arith::CmpIOp::create(*b, loc, arith::CmpIPredicate::eq, lane, number(g)), end[g], top);
        Value at = add(mul(add(mul(place, number(s.queries)), lane), number(2)), number(s.sums()));
        store(top, out, {token, at});
        store(total(partWeights, lane), out, {token, add(at, number(1))});
      });
    });
  });
  function->setAttr(tile::kSplitsAttr, b->getDenseI64ArrayAttr({kChunk, s.splits}));
}

/// The number of the result at `column`: what the splits of its head have left, joined in their order. Without a window
/// those that have positions are the first ones.
Value ThreadKernel::joined(AttentionOp op, Value token, Value column) {
  const AttentionSplits &s = shared->splits;
  Value partial = argument(shared->partial);
  auto times = [&](Value x, Value y) -> Value { return arith::MulFOp::create(*b, loc, x, y); };
  auto exp = [&](Value x, Value y) -> Value {
    return math::ExpOp::create(*b, loc, arith::SubFOp::create(*b, loc, x, y));
  };
  const int64_t heads = s.heads * s.queries;
  Value head = div(column, s.value);
  const Seen seen = seenBy(op, token);
  // A sink is a score that no value belongs to.
  const Values start = {op.getSinks() ? load(argument(op.getSinks()), {head}) : real(kNone),
                        real(op.getSinks() ? 1 : 0), real(0)};
  Value end = number(s.splits), all = op.getWindow() > 0 ? end : arith::MinUIOp::create(*b, loc, end, seen.lastChunk);
  const Values sums = stride(number(0), all, 1, start, [&](Value split, ValueRange before) {
    Value has = op.getWindow() > 0 ? less(firstOf(split, seen), seen.lastChunk) : Value();
    return choose(has, before, [&] {
      Value place = add(mul(split, number(heads)), head), at = add(mul(place, number(2)), number(s.sums()));
      Value top = load(partial, {token, at}), weight = load(partial, {token, add(at, number(1))});
      Value sum = load(partial, {token, add(mul(split, number(heads * s.value)), column)});
      Value most = arith::MaximumFOp::create(*b, loc, before[0], top);
      Value kept = exp(before[0], most), own = exp(top, most);
      return Values{most, math::FmaOp::create(*b, loc, before[1], kept, times(weight, own)),
                    math::FmaOp::create(*b, loc, before[2], kept, times(sum, own))};
    });
  });
  return arith::DivFOp::create(*b, loc, sums[2], sums[1]);
}

void ThreadKernel::joinSplits(AttentionOp op) {
  const AttentionSplits &s = shared->splits;
  Value out = argument(result);
  argument(shared->partial);
  forEach(s.heads * s.queries * s.value, out, 0, [&](Value token, Value column) {
    memref::StoreOp::create(*b, loc, joined(op, token, column), out, ValueRange{token, column});
  });
  function->setAttr(tile::kSplitsAttr, b->getDenseI64ArrayAttr({kChunk, s.splits}));
}

std::optional<JoinedRows> JoinedRows::of(AttentionOp attention, Value maximum, Value rows) {
  constexpr int64_t kMostThreads = 1024, kWave = 64; // of a block; of AMD's widest waves
  Value all = attention.getResult();
  const auto how = RowReduction::of(maximum);
  auto each = rows.getDefiningOp<linalg::GenericOp>();
  auto reads = [&](linalg::GenericOp op) { // the attention's number of the place that is computed
    return sameNumbers(op.getInputs().front()) == all && op.getIndexingMapsArray().front().isIdentity();
  };
  if (!how || !how->isMaximum || !each || each.getNumReductionLoops() || each.getNumDpsInputs() != 2 ||
      each.getInputs()[1] != maximum || !reads(each) || !reads(maximum.getDefiningOp<linalg::GenericOp>()))
    return std::nullopt;
  JoinedRows joined;
  joined.columns = how->columns;
  const int64_t turns = llvm::divideCeil(joined.columns, kMostThreads);
  joined.threads = llvm::alignTo(llvm::divideCeil(joined.columns, turns), kWave);
  return turns <= kMostTurns ? std::optional(joined) : std::nullopt;
}

/// A thread has every so manieth column. The largest number of a row is that of any order.
FailureOr<func::FuncOp> ThreadKernel::buildJoined(OpBuilder &builder, ArrayRef<Value> wanted) {
  AttentionOp op = shared->op;
  members.assign(wanted.begin(), wanted.end());
  result = members.front();
  begin(builder);
  Value rows = members.back(), maximum = members[members.size() - 2];
  const JoinedRows how = *JoinedRows::of(op, maximum, rows);
  auto largest = maximum.getDefiningOp<linalg::GenericOp>();
  for (Value member : members)
    argument(member);
  argument(shared->partial);
  Value common = sharedNumbers(how.threads);
  forEach(how.threads, argument(rows), how.threads, [&](Value token, Value lane) {
    Values columns, numbers;
    auto isThere = [&](size_t turn) {
      const int64_t left = how.columns - int64_t(turn) * how.threads;
      return left < how.threads ? less(lane, number(left)) : Value();
    };
    for (int64_t first = 0; first < how.columns; first += how.threads) {
      columns.push_back(first ? add(lane, number(first)) : lane);
      numbers.push_back(
          choose(isThere(numbers.size()), real(0), [&] { return Values{joined(op, token, columns.back())}; }).front());
    }
    auto eachTurn = [&](function_ref<void(size_t turn)> body) {
      for (size_t turn = 0; turn < columns.size(); ++turn) {
        held = {op.getResult(), numbers[turn]};
        body(turn);
      }
      held = {};
    };
    auto store = [&](Value member) {
      Value out = argument(member);
      eachTurn([&](size_t turn) {
        choose(isThere(turn), {}, [&] {
          const Values where = {token, columns[turn]};
          memref::StoreOp::create(*b, loc, at(member, where), out, where);
          return Values();
        });
      });
    };
    if (members.size() > 2)
      store(op.getResult());
    Value part = at(largest.getDpsInits()[0], {token});
    eachTurn([&](size_t turn) {
      part = choose(isThere(turn), part, [&] {
               Values loops = loopsAt(largest, {token});
               loops.back() = columns[turn];
               return Values{bodyAt(largest, loops, part)};
             }).front();
    });
    RowReduction tree = *RowReduction::of(maximum);
    tree.threads = how.threads;
    joinParts(part, common, lane, tree, [&](Value all) {
      memref::StoreOp::create(*b, loc, all, common, number(0));
      memref::StoreOp::create(*b, loc, all, argument(maximum), ValueRange{token, number(0)});
    });
    gpu::BarrierOp::create(*b, loc);
    scalars[maximum] = load(common, number(0));
    store(rows);
  });
  function->setAttr(tile::kSplitsAttr, b->getDenseI64ArrayAttr({kChunk, shared->splits.splits}));
  return finish();
}

} // namespace stepdown
