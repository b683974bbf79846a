// A linalg.generic over (token tile, token, row tile, block) whose body is one block_dot becomes loops. One token keeps
// its accumulators in registers while weights stream by; tiles of more tokens stream by the unpacked weights. Either
// way the order in which a row's products are added is the order of the columns: results never depend on the tile.
#include "dialects/Tile/IR/TileOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Vector/BFloatTile.h"
#include "passes/Vector/CodeDot.h"
#include "passes/Vector/FloatTile.h"
#include "passes/Vector/Passes.h"
#include "passes/Vector/TokenTile.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace stepdown::tile;
using namespace stepdown::transformer;

namespace stepdown {
#define GEN_PASS_DEF_SELECTBLOCKDOT
#include "passes/Vector/Passes.h.inc"

namespace {
using Values = Emitter::Values;

struct SelectBlockDot : impl::SelectBlockDotBase<SelectBlockDot> {
  using impl::SelectBlockDotBase<SelectBlockDot>::SelectBlockDotBase;

  void select(linalg::GenericOp generic, BlockDotOp dot, const Target &target) {
    OpBuilder builder(generic);
    Emitter e(builder, generic.getLoc(), target);
    auto activation = dot.getActivation().getType();
    const bool isFloat = activation.isFloat();
    if (activation.getTokens() == 1 && BFloatTile::takes(e, activation))
      streamBFloats(e, generic, dot);
    else if (activation.getTokens() == 1)
      isFloat ? streamFloats(e, generic, dot) : streamOnce(e, generic, dot);
    else if (!isFloat && e.registerLanes() == e.lanes &&
             2 * activation.getTokens() <= unsigned(target.unrolling.tokens))
      streamWeights(e, generic, dot);
    else
      streamTokens(e, generic, dot);
    generic.erase();
  }

  /// One token: every weight is read once, at the speed of memory.
  void streamOnce(Emitter &e, linalg::GenericOp generic, BlockDotOp dot) {
    Value weights = generic.getInputs()[0], activations = generic.getInputs()[1], out = generic.getOutputs()[0];
    auto activation = dot.getActivation().getType();
    const int64_t subBytes = activation.getBytes() / (activation.getColumns() / 32);
    const int64_t lanes = e.registerLanes(), parts = e.lanes / lanes;
    CodeDot products(e, activation, /*tilesOfOne=*/true);
    Value tokenTiles = e.dim(out, 0), blocks = e.dim(weights, 1);

    e.loop(e.dim(out, 2), [&](Value n) {
      e.loop(tokenTiles, [&](Value m) {
        Value place = e.pointer(out, {m, e.number(0), n});
        Values acc;
        for (int64_t part = 0; part < parts; ++part)
          acc.push_back(e.load(e.vec(e.f32, lanes), e.at(place, 4 * lanes * part)));
        acc = e.loop(e.number(0), blocks, 1, acc, [&](Value k, ValueRange carried) {
          Value w = e.pointer(weights, {n, k}), a = e.pointer(activations, {m, k});
          SmallVector<WeightReader, 2> rows;
          for (int64_t part = 0; part < parts; ++part) {
            rows.emplace_back(e, dot.getWeight().getType().getFormat(), lanes * part, lanes);
            rows.back().open(w);
          }
          const PackedBlock &packed = rows[0].layout();
          const bool ahead = lanes < e.lanes; // AVX-512: slower than what the processor fetches by itself
          if (ahead)
            prefetch(e, w, 0, packed.codesOffset);
          auto step = [&](Value sub, ValueRange sums) {
            if (ahead)
              prefetch(e, e.at(w, sub, packed.codeBytes), packed.codesOffset, packed.codesOffset + packed.codeBytes);
            return products.onlyToken(rows, sub, e.at(a, sub, subBytes), sums);
          };
          if (rows[0].subBlocks() == 1)
            return step(e.number(0), carried);
          return e.loop(e.number(0), e.number(rows[0].subBlocks()), 1, carried, step);
        });
        for (auto [part, sum] : llvm::enumerate(acc))
          e.store(sum, e.at(place, 4 * lanes * part));
      });
    });
  }

  /// Prefetches the lines that begin in bytes [begin, end) of a block, a sub-block's share of the stream at a time: all
  /// lines of a large block at once are more than a core has room for, and its loads wait behind them, with prompts too
  /// (docs/performance.md, sequences decoded together).
  static void prefetch(Emitter &e, Value block, int64_t begin, int64_t end) {
    for (int64_t line = llvm::alignTo(begin, 64); line < end; line += 64)
      e.prefetch(e.at(block, e.target.unrolling.prefetchBytes + line));
  }

  /// One token with float32 activations: as streamOnce(), a column at a time.
  void streamFloats(Emitter &e, linalg::GenericOp generic, BlockDotOp dot) {
    Value weights = generic.getInputs()[0], activations = generic.getInputs()[1], out = generic.getOutputs()[0];
    constexpr int64_t kSubBytes = 4 * kCodeColumns;
    Value tokenTiles = e.dim(out, 0), blocks = e.dim(weights, 1);

    e.loop(e.dim(out, 2), [&](Value n) {
      e.loop(tokenTiles, [&](Value m) {
        Value place = e.pointer(out, {m, e.number(0), n}), sum = e.load(e.vec(e.f32), place);
        sum = e.loop(e.number(0), blocks, 1, sum, [&](Value k, ValueRange carried) {
          WeightReader weight(e, dot.getWeight().getType().getFormat());
          Value w = e.pointer(weights, {n, k}), a = e.pointer(activations, {m, k});
          weight.open(w);
          auto step = [&](Value sub, ValueRange sums) {
            Value total = sums[0], block = e.at(a, sub, kSubBytes);
            weight.values(sub, [&](int column, Value rows) {
              total = e.fma(rows, e.loadSpread(e.f32, e.at(block, 4 * column)), total);
            });
            return Values{total};
          };
          if (e.registerLanes() < e.lanes) // see streamOnce()
            prefetch(e, w, 0, dot.getWeight().getType().getBytes());
          if (weight.subBlocks() == 1)
            return step(e.number(0), carried);
          return e.loop(e.number(0), e.number(weight.subBlocks()), 1, carried, step);
        })[0];
        e.store(sum, place);
      });
    });
  }

  /// One token with products of bfloat16.
  void streamBFloats(Emitter &e, linalg::GenericOp generic, BlockDotOp dot) {
    Value weights = generic.getInputs()[0], activations = generic.getInputs()[1], out = generic.getOutputs()[0];
    BFloatTile products(e, dot.getActivation().getType());
    Value tokenTiles = e.dim(out, 0);
    e.loop(e.dim(out, 2), [&](Value n) {
      e.loop(tokenTiles, [&](Value m) {
        products.addToken(dot.getWeight().getType().getFormat(), weights, n, activations, m,
                          e.pointer(out, {m, e.number(0), n}));
      });
    });
  }

  /// Tiles of a few tokens, of registers that hold all rows: the accumulators of one or two stay there, beside a row
  /// tile's unpacked weights. For two weights are fetched ahead; one is slower so (docs/performance.md, sequences
  /// decoded together).
  void streamWeights(Emitter &e, linalg::GenericOp generic, BlockDotOp dot) {
    CodeDot products(e, dot.getActivation().getType());
    Value out = generic.getOutputs()[0], tokenTiles = e.dim(out, 0);
    e.loop(e.dim(out, 2), [&](Value n) {
      e.loop(e.number(0), tokenTiles, 2, {}, [&](Value first, ValueRange) {
        auto branch = scf::IfOp::create(e.b, e.loc, e.less(e.addI(first, 1), tokenTiles), true);
        OpBuilder::InsertionGuard guard(e.b);
        for (int64_t tiles : {2, 1}) {
          e.b.setInsertionPointToStart(tiles == 2 ? branch.thenBlock() : branch.elseBlock());
          addTiles(e, generic, dot, products, n, first, tiles);
        }
        return Values();
      });
    });
  }

  /// Row tile `n` of the token tiles [first, first + tiles).
  static void addTiles(Emitter &e, linalg::GenericOp generic, BlockDotOp dot, CodeDot &products, Value n, Value first,
                       int64_t tiles) {
    Value weights = generic.getInputs()[0], activations = generic.getInputs()[1], out = generic.getOutputs()[0];
    auto activation = dot.getActivation().getType();
    const int64_t tokens = activation.getTokens(), count = tiles * tokens;
    const int64_t subBytes = activation.getBytes() / (activation.getColumns() / 32);
    Values place, acc;
    for (int64_t i = 0; i < count; ++i) {
      place.push_back(e.pointer(out, {e.addI(first, i / tokens), e.number(i % tokens), n}));
      acc.push_back(e.load(e.vec(e.f32), place.back()));
    }
    acc = e.loop(e.number(0), e.dim(weights, 1), 1, acc, [&](Value k, ValueRange carried) {
      WeightReader weight(e, dot.getWeight().getType().getFormat());
      const PackedBlock &packed = weight.layout();
      Value w = e.pointer(weights, {n, k});
      weight.open(w);
      Values tile;
      for (int64_t m = 0; m < tiles; ++m)
        tile.push_back(e.pointer(activations, {e.addI(first, m), k}));
      if (tiles > 1)
        prefetch(e, w, 0, packed.codesOffset);
      auto step = [&](Value sub, ValueRange sums) {
        products.open(weight, sub);
        products.take(0);
        Value ahead = e.at(e.at(w, sub, packed.codeBytes), e.target.unrolling.prefetchBytes + packed.codesOffset);
        Values next;
        for (auto [i, sum] : llvm::enumerate(sums)) {
          for (int64_t line = 64 * i; tiles > 1 && line < packed.codeBytes; line += 64 * count)
            e.prefetch(e.at(ahead, line));
          Value a = e.at(e.at(tile[i / tokens], sub, subBytes), 4 * (i % tokens));
          next.push_back(products.token(a, sum));
        }
        return next;
      };
      if (weight.subBlocks() == 1)
        return step(e.number(0), carried);
      return e.loop(e.number(0), e.number(weight.subBlocks()), 1, carried, step);
    });
    for (auto [sum, to] : llvm::zip(acc, place))
      e.store(sum, to);
  }

  /// Tiles of several tokens: the unpacked weights stay in registers, or near them, while the tokens of up to four
  /// tiles stream by, their accumulators in the first-level cache.
  void streamTokens(Emitter &e, linalg::GenericOp generic, BlockDotOp dot) {
    constexpr int64_t kTiles = BFloatTile::kMostTiles;
    Value weights = generic.getInputs()[0], activations = generic.getInputs()[1], out = generic.getOutputs()[0];
    auto activation = dot.getActivation().getType();
    const BlockFormat &format = dot.getWeight().getType().getFormat();
    const int64_t tokens = activation.getTokens(), subBytes = activation.getBytes() / (activation.getColumns() / 32);
    std::optional<FloatTile> floats;
    std::optional<BFloatTile> bfloats;
    std::optional<TokenTile> tile;
    std::optional<CodeDot> products;
    if (BFloatTile::takes(e, activation))
      bfloats.emplace(e, activation);
    else if (activation.isFloat())
      floats.emplace(e, tokens);
    else if (e.target.instructions.pairs && TokenTile::takes(activation, format))
      tile.emplace(e, activation);
    else
      products.emplace(e, activation);
    Value sums = e.scratch(kTiles * tokens * 64); // [tiles, tokens, 16 rows]
    Value tokenTiles = e.dim(out, 0);
    e.loop(e.dim(out, 2), [&](Value n) {
      e.loop(e.number(0), tokenTiles, kTiles, {}, [&](Value first, ValueRange) {
        Value tiles = arith::SubIOp::create(e.b, e.loc, tokenTiles, first);
        tiles = arith::MinUIOp::create(e.b, e.loc, tiles, e.number(kTiles));
        auto eachToken = [&](llvm::function_ref<void(Value tile, Value token, Value sum)> body) {
          e.loop(tiles, [&](Value m) {
            e.loop(e.number(tokens), [&](Value t) { body(m, t, e.at(e.at(sums, m, tokens * 64), t, 64)); });
          });
        };
        eachToken([&](Value m, Value t, Value sum) {
          e.store(e.load(e.vec(e.f32), e.pointer(out, {e.add(first, m), t, n})), sum);
        });
        auto addBlock = [&](Value k) {
          WeightReader weight(e, format);
          Value block = e.pointer(weights, {n, k});
          weight.open(block);
          const PackedBlock &packed = weight.layout();
          prefetch(e, block, 0, packed.codesOffset);
          auto step = [&](Value sub) {
            prefetch(e, e.at(block, sub, packed.codeBytes), packed.codesOffset, packed.codesOffset + packed.codeBytes);
            if (tile)
              tile->open(weight, sub);
            else
              products->open(weight, sub);
            const int64_t atOnce = tile ? tile->count() : 1, parts = products ? products->parts() : 1;
            for (int64_t part = 0; part < parts; ++part) {
              if (products)
                products->take(part);
              e.loop(tiles, [&](Value m) {
                Value a = e.at(e.pointer(activations, {e.add(first, m), k}), sub, subBytes);
                Value mine = e.at(e.at(sums, part * 4 * e.registerLanes()), m, tokens * 64);
                if (tile)
                  tile->widen(a);
                e.loop(e.number(tokens / atOnce), [&](Value t) {
                  Value at = e.at(mine, t, 64 * atOnce);
                  if (tile)
                    tile->add(a, e.mul(t, e.number(atOnce)), at);
                  else
                    e.store(products->token(e.at(a, t, 4), e.load(e.vec(e.f32, e.registerLanes()), at)), at);
                });
              });
            }
          };
          if (weight.subBlocks() == 1)
            step(e.number(0));
          else
            e.loop(e.number(weight.subBlocks()), step);
        };
        if (bfloats)
          bfloats->addRows(format, weights, n, activations, first, tiles, sums);
        else if (floats)
          floats->addRows(format, weights, n, activations, first, tiles, sums);
        else
          e.loop(e.dim(weights, 1), addBlock);
        eachToken([&](Value m, Value t, Value sum) {
          e.store(e.load(e.vec(e.f32), sum), e.pointer(out, {e.add(first, m), t, n}));
        });
        return Values();
      });
    });
  }

  void runOnOperation() override {
    const Target *target = findTarget(targetName);
    if (!target) {
      getOperation().emitError() << "expects a known target, but got '" << targetName << "'";
      return signalPassFailure();
    }
    SmallVector<std::pair<linalg::GenericOp, BlockDotOp>> work;
    getOperation().walk([&](linalg::GenericOp generic) {
      for (auto dot : generic.getBody()->getOps<BlockDotOp>())
        work.push_back({generic, dot});
    });
    for (auto [generic, dot] : work) {
      if (generic.getNumLoops() != 4 || !generic.hasPureBufferSemantics() ||
          dot.getWeight().getType().getLayout() != target->layout) {
        generic.emitError()
            << "expects block_dot on memrefs of packed blocks over (token tile, token, row tile, block)";
        return signalPassFailure();
      }
      select(generic, dot, *target);
      ++selected;
    }
  }
};
} // namespace
} // namespace stepdown
