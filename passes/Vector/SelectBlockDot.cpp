// A linalg.generic over (token tile, token, row tile, block) whose body is one block_dot becomes loops. One token keeps
// its accumulators in registers while weights stream by; tiles of more tokens stream by the unpacked weights. Either
// way the order in which a row's products are added is the order of the columns: results never depend on the tile.
#include "dialects/Tile/IR/TileOps.h"
#include "dialects/Transformer/IR/ActivationFields.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
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

/// Products of a weight's codes with 8-bit activation blocks (ActivationType says where their fields lie). Rows are
/// taken as many at a time as a register has lanes, so that the unpacked codes of AVX2's 8 rows stay in registers.
class CodeDot {
public:
  /// `tilesOfOne`: for onlyToken() alone.
  CodeDot(Emitter &e, ActivationType type, bool tilesOfOne = false)
      : e(e), at(type.getElement()), lanes(e.registerLanes()), tokens(type.getTokens()), residual(at.planes > 1),
        outliers(at.outliers > 0) {
    if (outliers && !tilesOfOne)
      kept = e.scratch(8 * 64 + 2 * 64);
  }

  int64_t parts() const { return e.lanes / lanes; }

  /// Unpacks the 32 columns `sub` of a weight.
  void open(WeightReader &weight, Value sub) {
    all = weight.codes(sub);
    if (outliers)
      keep();
  }
  /// The rows that token() computes from here on: those of part `which`.
  void take(int64_t which) {
    part = which, w = all;
    for (Value &quad : w.quads)
      quad = e.part(quad, lanes, part);
    w.scale = e.part(w.scale, lanes, part);
    for (int g = 0; g < w.groups; ++g) {
      if (w.bias[g])
        w.bias[g] = e.part(w.bias[g], lanes, part);
      if (w.factor[g]) {
        w.factor[g] = e.part(w.factor[g], lanes, part);
        factors[g] = QuadSum::factorOf(e, w.factor[g]);
      }
    }
  }
  /// The accumulator of one token after these columns. `a` points to the activation block, 4 bytes on for each token.
  Value token(Value a, Value sum) {
    auto highFactor = [&](int i) {
      Value group = arith::DivUIOp::create(e.b, e.loc, upperHalf(a, i), e.number(4));
      return e.load(e.vec(e.i32, lanes), e.at(keptAt(8), group));
    };
    auto group = [&](int g, int plane) {
      Values quads;
      for (int q = 4 * g; q < 4 * g + 4; ++q)
        quads.push_back(field(e.i32, a, at.codes(plane, q)));
      Value start = beginning(w, a, g, plane);
      return e.dotQuads(ArrayRef<Value>(w.quads).slice(4 * g, 4), quads, w.maxCode, start, factors[g]);
    };
    return scaled(
        a, sum, [&](Value start) { return codes(a, start); }, group, [&] { return highCodes(a, {0, 1}, {}); },
        [&] {
          Value first = highCodes(a, {0}, highFactor(0));
          return e.add(first, highCodes(a, {1}, highFactor(1)));
        });
  }

  /// The same for the only token of its tile, with the rows of `weights`, a register each: no weight is unpacked before
  /// it is multiplied, and of every quad all registers at once, so that what is spread of the activations serves them
  /// all and nothing but accumulators stays in registers.
  Values onlyToken(MutableArrayRef<WeightReader> weights, Value sub, Value a, ValueRange sums) {
    SmallVector<WeightReader::Codes> scales;
    for (WeightReader &weight : weights)
      scales.push_back(weight.scales(sub));
    const int groups = scales[0].groups, planes = 1 + residual;
    const int64_t quads = kQuads / groups;
    // [group][rows][plane]
    SmallVector<SmallVector<Values>> dots(groups, SmallVector<Values>(weights.size()));
    for (int g = 0; g < groups; ++g) {
      SmallVector<std::unique_ptr<QuadSum>> running;
      for (const WeightReader::Codes &rows : scales)
        for (int plane = 0; plane < planes; ++plane) {
          Value factor = rows.factor[g] ? QuadSum::factorOf(e, rows.factor[g]) : Value();
          Value start = beginning(rows, a, g, plane);
          running.push_back(std::make_unique<QuadSum>(e, rows.maxCode, quads, start, factor));
        }
      for (int64_t q = g * quads; q < (g + 1) * quads; ++q) {
        Values spread;
        for (int plane = 0; plane < planes; ++plane)
          spread.push_back(field(e.i32, a, at.codes(plane, q)));
        for (auto [i, weight] : llvm::enumerate(weights)) {
          Value codes = weight.quad(sub, q);
          for (int plane = 0; plane < planes; ++plane)
            running[i * planes + plane]->add(codes, spread[plane]);
        }
      }
      for (size_t i = 0; i < weights.size(); ++i)
        for (int plane = 0; plane < planes; ++plane)
          dots[g][i].push_back(running[i * planes + plane]->finish());
    }
    Values result;
    for (size_t i = 0; i < weights.size(); ++i) {
      w = scales[i];
      auto dot = [&](Value start) {
        const Values &part = dots[0][i];
        Value total = residual ? e.add(e.shiftLeft(part[0], 8), part[1]) : part[0];
        return start ? e.add(total, start) : total;
      };
      auto high = [&](ArrayRef<int> which, Value factor) {
        QuadSum total(e, w.maxCode, which.size(), {}, factor);
        for (int outlier : which) {
          Value q = arith::DivUIOp::create(e.b, e.loc, placeOf(a, outlier), e.number(64));
          total.add(weights[i].quad(sub, q), field(e.i32, a, at.high(outlier)));
        }
        return total.finish();
      };
      auto highOfGroup = [&](int outlier) { // the factor read again: a choice of two vectors would be a jump
        Value group = arith::DivUIOp::create(e.b, e.loc, upperHalf(a, outlier), e.number(4 * 64));
        return high(outlier, QuadSum::factorOf(e, weights[i].factor(sub, group)));
      };
      result.push_back(scaled(
          a, sums[i], dot, [&](int g, int plane) { return dots[g][i][plane]; }, [&] { return high({0, 1}, {}); },
          [&] {
            Value first = highOfGroup(0);
            return e.shiftLeft(e.add(first, highOfGroup(1)), 7);
          }));
    }
    return result;
  }

private:
  /// `sum` plus what 32 columns of `w` and a token give. One group: `dot(start)` is `start` and the products with all
  /// quads. Two: `group(g, plane)` is what a plane of codes gives with those of a group, times its factor; added up as
  /// integers, which outliers of 7 bits and factors of 8 leave within 31 bits, but not both planes of residual codes.
  /// `high()`: products with the high codes of outliers; `highOfGroups()` 128 times those, times their factors.
  Value scaled(Value a, Value sum, llvm::function_ref<Value(Value)> dot, llvm::function_ref<Value(int, int)> group,
               llvm::function_ref<Value()> high, llvm::function_ref<Value()> highOfGroups) {
    Value scale = field(e.f32, a, at.scale()), total;
    if (w.bias[0]) // bias0 * (all - upper) + bias1 * upper
      sum = e.fma(w.bias[0], field(e.f32, a, at.scaledSum()), sum);
    if (w.groups == 1) {
      total = dot(outliers ? e.shiftLeft(high(), 7) : Value());
      if (w.excess)
        total = e.sub(total, e.shiftLeft(allCodes(a), llvm::Log2_32(w.excess)));
      total = e.toF32(total);
    } else {
      if (w.bias[0])
        sum = e.fma(e.sub(w.bias[1], w.bias[0]), field(e.f32, a, at.scaledUpper()), sum);
      total = bothGroups(a, 0, group);
      if (outliers)
        total = e.add(total, highOfGroups());
      total = e.toF32(total);
      if (residual)
        total = e.fma(total, e.splat(total.getType(), 256), e.toF32(bothGroups(a, 1, group)));
    }
    return e.fma(total, e.mul(w.scale, scale), sum);
  }

  /// The sum of all codes of 32 columns, as their products count them.
  Value allCodes(Value a) {
    Value sum = field(e.i32, a, at.sum(0));
    return residual ? e.add(e.shiftLeft(sum, 8), field(e.i32, a, at.sum(1))) : sum;
  }
  /// What products of a group begin with: less by what its codes are too large by. Nothing where pairs of products are
  /// summed, whose factors have 16 bits: bothGroups() takes it off.
  Value beginning(const WeightReader::Codes &w, Value a, int g, int plane) {
    if (!w.excess || w.groups == 1 || e.target.instructions.pairs)
      return Value();
    Value sum = field(e.i32, a, at.upper(plane));
    if (g == 0)
      sum = e.sub(field(e.i32, a, at.sum(plane)), sum);
    return e.sub(e.splat(sum.getType(), 0), e.shiftLeft(sum, llvm::Log2_32(w.excess)));
  }
  /// Products of a plane of codes with those of both groups, times their factors.
  Value bothGroups(Value a, int plane, llvm::function_ref<Value(int, int)> group) {
    Value total = e.add(group(0, plane), group(1, plane));
    if (!w.excess || !e.target.instructions.pairs)
      return total;
    Value upper = field(e.i32, a, at.upper(plane)), lower = e.sub(field(e.i32, a, at.sum(plane)), upper);
    Value both = e.add(e.mul(w.factor[0], lower), e.mul(w.factor[1], upper));
    return e.sub(total, e.shiftLeft(both, llvm::Log2_32(w.excess)));
  }

  /// Not zero where outlier `i` is in quads 4 to 7, which have the scale of the second group: then 4 * 64.
  Value upperHalf(Value a, int i) { return arith::AndIOp::create(e.b, e.loc, placeOf(a, i), e.number(4 * 64)); }

  /// A 32-bit value of the token in all lanes.
  Value field(Type type, Value a, int64_t offset) { return e.spread(e.load(type, e.at(a, offset * tokens)), lanes); }

  /// Products with all quads, added to `start`; with residual codes 256 times those of the codes plus those of the
  /// residual codes (the scale counts the 256).
  Value codes(Value a, Value start) {
    Value total = start;
    for (int plane = 0; plane <= int(residual); ++plane) {
      Values quads;
      for (int q = 0; q < kQuads; ++q)
        quads.push_back(field(e.i32, a, at.codes(plane, q)));
      if (plane)
        total = e.shiftLeft(total, 8);
      total = e.dotQuads(w.quads, quads, w.maxCode, total);
    }
    return total;
  }

  /// Which quad outlier `i` is, times 64; for the tokens of a tile that the step does not have, whose bytes are
  /// whatever was there, some quad.
  Value placeOf(Value a, int i) {
    Value place = e.load(e.i32, e.at(a, at.place(i) * tokens));
    return e.cast(arith::AndIOp::create(e.b, e.loc, place, e.splat(e.i32, 7 * 64)), e.index);
  }
  /// Products with the high codes of `which` outliers: their weights are found by their numbers.
  Value highCodes(Value a, ArrayRef<int> which, Value factor) {
    Values weights, quads;
    for (int i : which) {
      weights.push_back(e.load(e.vec(e.i32, lanes), e.at(keptAt(0), placeOf(a, i))));
      quads.push_back(field(e.i32, a, at.high(i)));
    }
    return e.dotQuads(weights, quads, w.maxCode, {}, factor);
  }
  /// Weights where a number can name them: 8 quads, then for two groups 128 times their factors.
  void keep() {
    for (auto [q, codes] : llvm::enumerate(all.quads))
      e.store(codes, e.at(kept, 64 * q));
    for (int g = 0; g < 2 && all.groups == 2; ++g)
      e.store(QuadSum::factorOf(e, e.shiftLeft(all.factor[g], 7)), e.at(kept, 64 * (8 + g)));
  }
  Value keptAt(int64_t which) { return e.at(kept, 64 * which + 4 * lanes * part); }

  Emitter &e;
  const ActivationFields at;
  const int64_t lanes, tokens;
  const bool residual, outliers;
  int64_t part = 0;           // which rows of the 16, in units of `lanes`
  WeightReader::Codes all, w; // of 16 rows, and of these
  Value factors[2];           // of these rows' groups, as QuadSum takes them
  Value kept;                 // what keep() stored
};

struct SelectBlockDot : impl::SelectBlockDotBase<SelectBlockDot> {
  using impl::SelectBlockDotBase<SelectBlockDot>::SelectBlockDotBase;

  void select(linalg::GenericOp generic, BlockDotOp dot, const Target &target) {
    OpBuilder builder(generic);
    Emitter e(builder, generic.getLoc(), target);
    auto activation = dot.getActivation().getType();
    const bool isFloat = activation.getElement() == "f32";
    if (activation.getTokens() == 1)
      isFloat ? streamFloats(e, generic, dot) : streamOnce(e, generic, dot);
    else if (!isFloat && 2 * int64_t(activation.getTokens()) <= target.unrolling.tokens)
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

  /// Prefetches the lines that begin in bytes [begin, end) of a block, one block's share of the stream at a time: all
  /// lines of a large block at once are more than a core has room for, and its loads wait behind them.
  static void prefetch(Emitter &e, Value block, int64_t begin, int64_t end) {
    for (int64_t line = llvm::alignTo(begin, 64); line < end; line += 64)
      e.prefetch(e.at(block, e.target.unrolling.prefetchBytes + line));
  }

  /// The same with float32 activations: a column at a time.
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

  /// Tiles of a few tokens: the accumulators of one or two stay in registers, beside a row tile's unpacked weights. For
  /// two weights are fetched ahead; one is slower so (Zen 4: 650 tokens a second without, 615 with; two 605 and 680).
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
    constexpr int64_t kTiles = 4;
    Value weights = generic.getInputs()[0], activations = generic.getInputs()[1], out = generic.getOutputs()[0];
    auto activation = dot.getActivation().getType();
    const BlockFormat &format = dot.getWeight().getType().getFormat();
    const int64_t tokens = activation.getTokens(), subBytes = activation.getBytes() / (activation.getColumns() / 32);
    std::optional<FloatTile> floats;
    std::optional<TokenTile> tile;
    std::optional<CodeDot> products;
    if (activation.getElement() == "f32")
      floats.emplace(e, tokens);
    else if (e.target.instructions.pairs)
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
          prefetch(e, block, 0, dot.getWeight().getType().getBytes());
          auto step = [&](Value sub) {
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
        if (floats)
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
