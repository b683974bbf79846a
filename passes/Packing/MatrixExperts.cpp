// Products with experts on matrix units. Tokens that share an expert are brought together: `group` sorts the step's
// pairs of a token and a rank by their experts, and cuts what an expert has into tiles; a block of threads has 32 rows
// of one expert and the pairs of a tile. A warp has 16 of the rows and every so manieth 32 columns, unpacks weights
// into the registers that matrix units take them from, and what warps have of the same rows is joined, one after the
// other.
//
// The same bytes for any batch: a product's row is made of its own row of A alone, so neither who shares a tile nor how
// many do shows in it, and which columns a warp has follows from their number. Steps of few tokens have no table: each
// pair is a tile.
//
// The table has a row for each token: pairs in the order of their experts, as many as a token has ranks, then entries
// of tiles. Expert e, whose first pair is number b of that order, has the entries from b / tokens + e on up to its
// successor's first one: there are as many entries for it as it has tiles, or one more. An entry is the number of a
// tile's first pair, or -1.
#include "dialects/Tile/IR/TileOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Packing/ThreadKernel.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {

static constexpr int64_t kTile = 16;        ///< tokens, rows and columns of a product
static constexpr int64_t kUnit = 32;        ///< columns that a warp has at a time
static constexpr int64_t kMostShares = 4;   ///< of the columns: warps of a block that have the same rows
static constexpr int64_t kMostProducts = 2; ///< of a block, whose sums lie in the memory that threads share
static constexpr int64_t kRowsOfBlock = 2 * kTile;
static constexpr int64_t kTeam = 32, kTeams = 8; ///< threads that have an expert's pairs, and experts of a block

ExpertTiles ExpertTiles::of(ExpertLinearOp op, int64_t minTokens, const WarpFragments &warp) {
  constexpr int64_t kMany = 64;
  ExpertTiles tiles{warp, 1, op.getRanks()};
  if (minTokens > 1) {
    tiles.tokens = minTokens < kMany ? kTile : 2 * kTile;
    tiles.blocks = std::clamp<int64_t>(int64_t(op.getExperts()) / minTokens, 1, op.getRanks());
  }
  return tiles;
}

int64_t ExpertTiles::entriesOfToken(ExpertLinearOp op, ArrayRef<ExpertTiles> all, ArrayRef<int64_t> minTokens) {
  int64_t most = 1;
  for (auto [tiles, least] : llvm::zip(all, minTokens))
    if (!tiles.isDirect())
      most = std::max<int64_t>(most, llvm::divideCeil(op.getRanks(), tiles.tokens) +
                                         llvm::divideCeil(int64_t(op.getExperts()), least));
  return most;
}

FailureOr<func::FuncOp> ThreadKernel::buildGroups(OpBuilder &builder, Value table, ExpertLinearOp op,
                                                  const ExpertTiles &tiles) {
  result = table;
  begin(builder);
  const int64_t ranks = op.getRanks(), experts = op.getExperts();
  const int64_t entries = cast<RankedTensorType>(table.getType()).getDimSize(1) - ranks;
  Value ids = argument(op.getIds()), out = argument(table);
  Type i32 = b->getI32Type();
  auto put = [&](Value value, Value row, Value column) {
    Value word = arith::IndexCastOp::create(*b, loc, i32, value);
    memref::StoreOp::create(*b, loc, word, out, ValueRange{row, column});
  };
  if (tiles.isDirect()) { // nobody reads it
    forEach(1, out, kTeam, [&](Value token, Value column) { put(token, token, column); });
    return finish();
  }
  constexpr int64_t threads = kTeam * kTeams;
  Value lesser = sharedMemory({kTeams, kTeam + 1}, i32), equals = sharedMemory({kTeams, kTeam + 1}, i32);
  forEach(threads, out, threads, [&](Value token, Value thread) {
    Value team = div(thread, kTeam), lane = rem(thread, kTeam), tokens = memref::DimOp::create(*b, loc, out, 0);
    Value pairs = mul(tokens, number(ranks)), none = number(0), one = number(1);
    auto isEqual = [&](Value x, Value y) -> Value {
      return arith::CmpIOp::create(*b, loc, arith::CmpIPredicate::eq, x, y);
    };
    auto loops = scf::ForOp::create(*b, loc, mul(token, number(kTeams)), number(experts), mul(tokens, number(kTeams)));
    OpBuilder::InsertionGuard guard(*b);
    b->setInsertionPointToStart(loops.getBody());
    Value expert = add(loops.getInductionVar(), team);
    auto expertOf = [&](Value pair) -> Value {
      Value id = index(ids, {div(pair, ranks), rem(pair, ranks)});
      return arith::MinUIOp::create(*b, loc, id, number(experts - 1));
    };
    const Values counted = stride(lane, pairs, kTeam, {none, none}, [&](Value pair, ValueRange before) {
      Value its = expertOf(pair);
      return Values{add(before[0], select(less(its, expert), one, none)),
                    add(before[1], select(isEqual(its, expert), one, none))};
    });
    for (auto [memory, count] : {std::pair(lesser, counted[0]), std::pair(equals, counted[1])})
      memref::StoreOp::create(*b, loc, arith::IndexCastOp::create(*b, loc, i32, count), memory, ValueRange{team, lane});
    gpu::BarrierOp::create(*b, loc);
    const Values sums = loop(none, number(kTeam), {none, none, none}, [&](Value other, ValueRange before) {
      Value count = index(equals, {team, other});
      return Values{add(before[0], index(lesser, {team, other})), add(before[1], count),
                    add(before[2], select(less(other, lane), count, none))};
    });
    when(less(expert, number(experts)), [&] {
      stride(lane, pairs, kTeam, add(sums[0], sums[2]), [&](Value pair, ValueRange place) {
        Value mine = isEqual(expertOf(pair), expert);
        when(mine, [&] { put(pair, div(place[0], ranks), rem(place[0], ranks)); });
        return Values{add(place[0], select(mine, one, none))};
      });
      Value first = add(div(sums[0], tiles.tokens), expert);
      Value end = add(add(div(add(sums[0], sums[1]), tiles.tokens), expert), one);
      stride(add(first, lane), end, kTeam, {}, [&](Value entry, ValueRange) {
        Value begins = mul(arith::SubIOp::create(*b, loc, entry, first), number(tiles.tokens));
        Value isTile = less(begins, sums[1]);
        put(select(isTile, add(sums[0], begins), number(-1)), div(entry, entries),
            add(number(ranks), rem(entry, entries)));
        return Values();
      });
    });
    gpu::BarrierOp::create(*b, loc);
  });
  function->setAttr(tile::kExpertsAttr, b->getDenseI64ArrayAttr({tiles.tokens, experts, ranks}));
  return finish();
}

namespace {
/// Columns that a lane has of each 16: neighbours four by four, in the order of its elements. Where an instruction
/// gives it two and two, both operands have four neighbours in their place: a sum goes over columns in any order.
struct LaneQuads {
  const WarpFragments &w;
  int64_t rowsOfA() const { return w.innerIsLow() ? 2 : 1; }
  int64_t rowsOfB() const { return w.neighbours; }
  int64_t count() const { return w.factors / (kQuadColumns * rowsOfA()); }
  /// The quad's number is inner times the first and the second.
  std::pair<int64_t, int64_t> quad(int64_t q) const {
    const WarpFragments::Place place = w.innerIsLow() ? WarpFragments::Place{0, 4, 0} : w.columnOfA(q * kQuadColumns);
    return {place.inner / kQuadColumns, place.constant / kQuadColumns};
  }
  int64_t elementOfA(int64_t row, int64_t q, int64_t j) const {
    return w.innerIsLow() ? row * 2 + j / 2 * 4 + j % 2 : q * kQuadColumns + j;
  }
  int64_t elementOfB(int64_t row, int64_t q, int64_t j) const { return (row + q) * kQuadColumns + j; }
};
} // namespace

/// Of 16 rows of a weight and each tile of tokens the sums of a lane, over every so manieth 32 columns from `share` on.
ThreadKernel::Values ThreadKernel::sumsOfWarp(ExpertLinearOp op, Value weight, Value rows, const ExpertLane &lane,
                                              Value share, int64_t shares) {
  const WarpFragments &w = lane.w;
  const LaneQuads lanes{w};
  const int64_t wide = columns(op.getWeight().getType()), tokenTiles = lane.tokenOf.size() / lanes.rowsOfA();
  const PackedBlock packed =
      packedBlock(layout, cast<BlockType>(cast<MemRefType>(weight.getType()).getElementType()).getFormat());
  const int64_t unitsOfBlock = packed.columns / kUnit;
  Type f32 = b->getF32Type(), f16 = b->getF16Type();
  auto quadOf = [&](int64_t q, int64_t step) { // in a unit
    const auto [factor, constant] = lanes.quad(q);
    return add(mul(lane.inner, number(factor)), number(step * kTile / kQuadColumns + constant));
  };
  const Values zeros(tokenTiles * w.held, real(0));
  auto add32 = [&](Value block, Value part, ValueRange before) { // columns of one unit, the `part`-th of its block
    Value unit = add(mul(block, number(unitsOfBlock)), part);
    Values sums(before);
    for (int64_t step = 0; step < kUnit / kTile; ++step) {
      Values right(w.factors);
      for (int64_t r = 0; r < lanes.rowsOfB(); ++r)
        for (int64_t q = 0; q < lanes.count(); ++q) {
          Value quad = add(mul(part, number(kUnit / kQuadColumns)), quadOf(q, step));
          auto values =
              tile::UnpackHalvesOp::create(*b, loc, weight, ValueRange{div(lane.rowOf[r], layout.rows), block},
                                           rem(lane.rowOf[r], layout.rows), quad);
          for (int64_t j = 0; j < kQuadColumns; ++j)
            right[lanes.elementOfB(r, q, j)] = values.getResult(j);
        }
      for (int64_t m = 0; m < tokenTiles; ++m) {
        Values left(w.factors);
        for (int64_t r = 0; r < lanes.rowsOfA(); ++r)
          for (int64_t q = 0; q < lanes.count(); ++q) {
            Value from = add(mul(unit, number(kUnit)), mul(quadOf(q, step), number(kQuadColumns)));
            if (op.getByRank())
              from = add(from, mul(lane.rankOf[m * lanes.rowsOfA() + r], number(wide)));
            Value quad = vector::LoadOp::create(*b, loc, VectorType::get({kQuadColumns}, f16), rows,
                                                ValueRange{lane.tokenOf[m * lanes.rowsOfA() + r], from});
            for (int64_t j = 0; j < kQuadColumns; ++j)
              left[lanes.elementOfA(r, q, j)] = vector::ExtractOp::create(*b, loc, quad, j);
          }
        auto made = tile::WarpMmaOp::create(*b, loc, SmallVector<Type>(w.held, f32), left, right,
                                            ValueRange(sums).slice(m * w.held, w.held));
        llvm::copy(made.getResults(), sums.begin() + m * w.held);
      }
    }
    return sums;
  };
  // Parts of a block are places that no turn changes; of codes in two planes these are more than registers hold.
  if (unitsOfBlock % shares || packed.planes > 1)
    return stride(share, number(wide / kUnit), shares, zeros, [&](Value unit, ValueRange before) {
      return add32(div(unit, unitsOfBlock), rem(unit, unitsOfBlock), before);
    });
  return loop(number(0), number(wide / kUnit / unitsOfBlock), zeros, [&](Value block, ValueRange before) {
    Values sums(before);
    for (int64_t part = 0; part < unitsOfBlock; part += shares)
      sums = add32(block, add(share, number(part)), sums);
    return sums;
  });
}

FailureOr<func::FuncOp> ThreadKernel::buildExperts(OpBuilder &builder, Value wanted, ArrayRef<ExpertProduct> products,
                                                   Value table, const ExpertTiles &tiles) {
  result = wanted;
  begin(builder);
  ExpertLinearOp some = products.front().op;
  const WarpFragments &w = tiles.warp;
  const LaneQuads lanes{w};
  const int64_t ranks = some.getRanks(), rows = some.getRowsOfExpert(), experts = some.getExperts();
  const int64_t units = columns(some.getWeight().getType()) / kUnit, shares = std::min(units, kMostShares);
  const int64_t rowTiles = llvm::divideCeil(std::min(rows, kRowsOfBlock), kTile), rowsOfBlock = rowTiles * kTile;
  const int64_t threads = shares * rowTiles * w.lanes, tokenTiles = llvm::divideCeil(tiles.tokens, kTile);
  const int64_t rowBlocks = llvm::divideCeil(rows, rowsOfBlock), tokensOfBlock = tokenTiles * kTile;
  Type f32 = b->getF32Type();
  if (products.size() > kMostProducts)
    return refuse(some, "no more than two products of experts"), finish();
  // Arguments in one order, whatever a variant reads.
  Value out = argument(result), ids = argument(some.getIds()), order = argument(table);
  SmallVector<Value> weights, operands, scales;
  for (ExpertProduct product : products) {
    weights.push_back(argument(product.op.getWeight()));
    operands.push_back(argument(product.rows));
    Value known = arguments.lookup({product.scales, 0});
    scales.push_back(known ? known
                           : addArgument(product.scales, 0, MemRefType::get({ShapedType::kDynamic, 1}, f32),
                                         {extent, 1}, places.lookup(product.scales)));
  }
  const int64_t entries = cast<MemRefType>(order.getType()).getDimSize(1) - ranks;
  Value pairs = tiles.isDirect() ? Value() : sharedMemory({tokensOfBlock}, b->getI32Type());
  // Rows of sums lie so far apart that lanes of AMD's meet in no bank where they leave them; of NVIDIA's two do.
  const int64_t apart = rowsOfBlock + (w.innerIsLow() ? 1 : w.held == 4 ? 4 : 2);
  Value parts = sharedMemory({shares, tokensOfBlock, apart}, f32);
  Value joined = sharedMemory({int64_t(products.size()), tokensOfBlock, apart}, f32);
  auto barrier = [&] { gpu::BarrierOp::create(*b, loc); };

  forEach(tiles.blocks * rowBlocks * threads, out, threads, [&](Value token, Value column) {
    Value thread = rem(column, threads), block = div(column, threads);
    Value firstRow = mul(rem(block, rowBlocks), number(rowsOfBlock)), number0 = number(0);
    Value warp = div(thread, w.lanes), inWarp = rem(thread, w.lanes);
    Value share = div(warp, rowTiles), rowOfTile = mul(rem(warp, rowTiles), number(kTile));
    Value high = div(inWarp, w.apart()), low = rem(inWarp, w.apart());
    Value outer = w.innerIsLow() ? high : low, inner = w.innerIsLow() ? low : high;
    auto at = [&](WarpFragments::Place place, int64_t first) {
      Value made = place.outer ? mul(outer, number(place.outer)) : mul(inner, number(place.inner));
      return add(made, number(place.constant + first));
    };
    auto least = [&](Value x, int64_t most) -> Value { return arith::MinUIOp::create(*b, loc, x, number(most)); };
    Value tokens = memref::DimOp::create(*b, loc, out, 0), allPairs = mul(tokens, number(ranks));

    /// What the block has of `expert` and the pairs that `pairAt` tells, of which so many are `live`; an index behind
    /// all pairs is none.
    auto compute = [&](Value expert, int64_t live, function_ref<Value(Value)> pairAt) {
      Value begin = mul(expert, number(rows)), some = pairAt(number0);
      auto safe = [&](Value pair) { return select(less(pair, allPairs), pair, some); };
      ExpertLane mine{w, inner, {}, {}, {}};
      for (int64_t m = 0; m < tokenTiles; ++m)
        for (int64_t r = 0; r < lanes.rowsOfA(); ++r) {
          Value pair = safe(pairAt(at(w.rowOfA(lanes.elementOfA(r, 0, 0)), m * kTile)));
          mine.tokenOf.push_back(div(pair, ranks)), mine.rankOf.push_back(rem(pair, ranks));
        }
      for (int64_t r = 0; r < lanes.rowsOfB(); ++r) {
        Value row = add(add(firstRow, rowOfTile), at(w.rowOfB(lanes.elementOfB(r, 0, 0)), 0));
        mine.rowOf.push_back(add(begin, least(row, rows - 1)));
      }
      for (size_t p = 0; p < products.size(); ++p) {
        if (p) // who joins the parts of the product before
          barrier();
        const Values sums = sumsOfWarp(products[p].op, weights[p], operands[p], mine, share, shares);
        for (int64_t e = 0; e < w.held; ++e) {
          auto leave = [&] {
            for (int64_t m = 0; m < tokenTiles; ++m)
              memref::StoreOp::create(
                  *b, loc, sums[m * w.held + e], parts,
                  ValueRange{share, at(w.rowOfSum(e), m * kTile), add(rowOfTile, at(w.columnOfSum(e), 0))});
          };
          if (live > 1)
            leave();
          else if (w.rowOfSum(e).constant == 0) // the first row alone
            when(less(at(w.rowOfSum(e), 0), number(1)), leave);
        }
        barrier();
        stride(thread, number(live * rowsOfBlock), threads, {}, [&](Value i, ValueRange) {
          Value m = div(i, rowsOfBlock), n = rem(i, rowsOfBlock), sum = load(parts, {number0, m, n});
          for (int64_t other = 1; other < shares; ++other)
            sum = arith::AddFOp::create(*b, loc, sum, load(parts, {number(other), m, n}));
          memref::StoreOp::create(*b, loc, sum, joined, ValueRange{number(p), m, n});
          return Values();
        });
      }
      stride(thread, number(live * rowsOfBlock), threads, {}, [&](Value i, ValueRange) {
        Value m = div(i, rowsOfBlock), n = rem(i, rowsOfBlock), pair = pairAt(m), row = add(firstRow, n);
        auto finishRow = [&] {
          Value token = div(pair, ranks), column = add(mul(rem(pair, ranks), number(rows)), row);
          for (size_t p = 0; p < products.size(); ++p) {
            ExpertLinearOp op = products[p].op;
            Value sum =
                arith::MulFOp::create(*b, loc, load(joined, {number(p), m, n}), load(scales[p], {token, number0}));
            scalars[op.getResult()] = withBias(op, sum, token, column);
          }
          place(result, token, column);
        };
        when(less(pair, allPairs), [&] {
          if (rows % rowsOfBlock)
            when(less(row, number(rows)), finishRow);
          else
            finishRow();
        });
        return Values();
      });
    };
    auto expertAt = [&](Value pair) { return least(index(ids, {div(pair, ranks), rem(pair, ranks)}), experts - 1); };
    if (tiles.isDirect()) {
      Value pair = add(mul(token, number(ranks)), div(block, rowBlocks));
      Value expert = expertAt(pair);
      return compute(expert, 1, [&](Value) { return pair; });
    }
    Value count = add(div(allPairs, tiles.tokens), number(experts));
    Value start = add(mul(token, number(tiles.blocks)), div(block, rowBlocks));
    auto loops = scf::ForOp::create(*b, loc, start, count, mul(tokens, number(tiles.blocks)));
    OpBuilder::InsertionGuard guard(*b);
    b->setInsertionPointToStart(loops.getBody());
    Value entry = loops.getInductionVar();
    Value first = index(order, {div(entry, entries), add(number(ranks), rem(entry, entries))});
    when(less(first, allPairs), [&] {
      auto pairNumber = [&](Value place) { return index(order, {div(place, ranks), rem(place, ranks)}); };
      Value expert = expertAt(pairNumber(first));
      when(less(thread, number(tokensOfBlock)), [&] {
        Value place = add(first, thread), isThere = less(place, allPairs);
        Value pair = pairNumber(select(isThere, place, first));
        Value same = arith::CmpIOp::create(*b, loc, arith::CmpIPredicate::eq, expertAt(pair), expert);
        Value mine = arith::IndexCastOp::create(
            *b, loc, b->getI32Type(), select(arith::AndIOp::create(*b, loc, isThere, same), pair, number(-1)));
        memref::StoreOp::create(*b, loc, mine, pairs, thread);
      });
      barrier();
      compute(expert, tokensOfBlock, [&](Value m) { return index(pairs, {m}); });
      barrier();
    });
  });
  for (ExpertProduct product : products)
    scalars.erase(product.op.getResult());
  function->setAttr(tile::kExpertsAttr,
                    b->getDenseI64ArrayAttr({tiles.tokens, experts, ranks, tiles.blocks, rowBlocks, rowsOfBlock}));
  return finish();
}

} // namespace stepdown
