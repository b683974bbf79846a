// A linalg.generic over (token tile, token, row tile, block) whose body is one block_dot becomes loops with the
// accumulators in registers: for every row tile and token tile, the blocks are streamed once, unpacked once, and used
// for all tokens. The order in which a row's products are added is the order of the columns, whatever the tile: results
// never depend on it.
#include "dialects/Transformer/IR/TransformerOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Vector/Passes.h"
#include "passes/Vector/WeightReader.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {
#define GEN_PASS_DEF_SELECTBLOCKDOT
#include "passes/Vector/Passes.h.inc"

namespace {
using Values = Emitter::Values;

/// Products of a weight's codes with 8-bit activation blocks (ActivationType says where their fields lie). Rows are
/// taken as many at a time as a register has lanes, all tokens with the first of them before the others: so the
/// unpacked codes of AVX2's 8 rows stay in registers.
class CodeDot {
public:
  CodeDot(Emitter &e, ActivationType type)
      : e(e), lanes(e.registerLanes()), tokens(type.getTokens()), residual(type.getElement() == "q8x2"),
        outliers(type.getElement() == "q8o2") {
    if (outliers)
      kept = e.scratch(8 * 64 + 2 * 64);
  }

  /// Accumulators of tokens [first, first + acc.size()) after 32 columns. `a` points to the activation block.
  Values dot(WeightReader &weight, Value sub, Value a, int64_t first, ValueRange acc) {
    const WeightReader::Codes all = weight.codes(sub);
    if (outliers)
      keep(all);
    Values result(acc.size());
    for (part = 0; part < kLanes / lanes; ++part) {
      w = all;
      for (Value &quad : w.quads)
        quad = e.part(quad, lanes, part);
      for (int g = 0; g < w.groups; ++g) {
        w.scale[g] = e.part(w.scale[g], lanes, part);
        if (w.bias[g])
          w.bias[g] = e.part(w.bias[g], lanes, part);
      }
      Value mine = part == 0 ? a : e.hide(a); // spread again: to keep 16 spread values costs more than to load them
      for (auto [i, sum] : llvm::enumerate(acc)) {
        Value next = token(mine, first + i, e.part(sum, lanes, part));
        result[i] = part == 0 ? next : e.join(result[i], next);
      }
    }
    return result;
  }

private:
  /// A 32-bit value of token `t` in all lanes.
  Value field(Type type, Value a, int64_t offset, int64_t t) {
    return e.spread(e.load(type, e.at(a, offset * tokens + 4 * t)), lanes);
  }
  Value quad(Value a, int64_t offset, int64_t q, int64_t t) { return field(e.i32, a, offset + 4 * q, t); }

  /// The accumulator of token `t` after 32 columns.
  Value token(Value a, int64_t t, Value sum) {
    Value scale = field(e.f32, a, 0, t);
    if (w.bias[0]) // bias0 * (all - upper) + bias1 * upper
      sum = e.fma(w.bias[0], field(e.f32, a, 4, t), sum);
    if (w.groups == 1) {
      Value high = outliers ? e.shiftLeft(highCodes(a, t, {0, 1}), 7) : Value();
      return e.fma(e.toF32(codes(a, t, 0, 8, high)), e.mul(w.scale[0], scale), sum);
    }
    if (w.bias[0])
      sum = e.fma(e.sub(w.bias[1], w.bias[0]), field(e.f32, a, 8, t), sum);
    Value dot = e.mul(e.toF32(codes(a, t, 0, 4)), w.scale[0]);
    dot = e.fma(e.toF32(codes(a, t, 4, 8)), w.scale[1], dot);
    if (outliers)
      for (int i = 0; i < 2; ++i) { // quads 0 to 3 have scale 0
        Value upper = arith::AndIOp::create(e.b, e.loc, placeOf(a, t, i), e.number(4 * 64));
        Value group = arith::DivUIOp::create(e.b, e.loc, upper, e.number(4));
        dot = e.fma(e.toF32(highCodes(a, t, {i})), e.load(e.vec(e.f32, lanes), e.at(at(8), group)), dot);
      }
    return e.fma(dot, scale, sum);
  }

  /// Products with quads [begin, end) of token `t`, added to `start`; with residual codes 256 times those of the codes
  /// plus those of the residual codes (the scale counts the 256).
  Value codes(Value a, int64_t t, int begin, int end, Value start = {}) {
    Value total = start;
    for (int plane = 0; plane <= int(residual); ++plane) {
      Values quads;
      for (int q = begin; q < end; ++q)
        quads.push_back(quad(a, 12 + 32 * plane, q, t));
      if (plane)
        total = e.shiftLeft(total, 8);
      total = e.dotQuads(ArrayRef<Value>(w.quads).slice(begin, end - begin), quads, w.maxCode, total);
    }
    return total;
  }

  /// Which quad outlier `i` of token `t` is, times 64; for the tokens of a tile that the step does not have, whose
  /// bytes are whatever was there, some quad.
  Value placeOf(Value a, int64_t t, int i) {
    Value place = e.load(e.i32, e.at(a, 52 * tokens + 4 * (i * tokens + t)));
    return e.cast(arith::AndIOp::create(e.b, e.loc, place, e.splat(e.i32, 7 * 64)), e.index);
  }
  /// Products with the high codes of `which` outliers: their weights are found by their numbers.
  Value highCodes(Value a, int64_t t, ArrayRef<int> which) {
    Values weights, quads;
    for (int i : which) {
      weights.push_back(e.load(e.vec(e.i32, lanes), e.at(at(0), placeOf(a, t, i))));
      quads.push_back(quad(a, 44, i, t));
    }
    return e.dotQuads(weights, quads, w.maxCode);
  }
  /// Weights where a number can name them: 8 quads, then for two groups 128 times their scales.
  void keep(const WeightReader::Codes &all) {
    for (auto [q, codes] : llvm::enumerate(all.quads))
      e.store(codes, e.at(kept, 64 * q));
    for (int g = 0; g < 2 && all.groups == 2; ++g)
      e.store(e.mul(all.scale[g], e.splat(e.vec(e.f32), 128.0)), e.at(kept, 64 * (8 + g)));
  }
  Value at(int64_t which) { return e.at(kept, 64 * which + 4 * lanes * part); }

  Emitter &e;
  const int64_t lanes, tokens;
  const bool residual, outliers;
  int64_t part = 0;      // which rows of the 16, in units of `lanes`
  WeightReader::Codes w; // of these rows
  Value kept;            // what keep() stored
};

/// The same with float32 activations: a column at a time.
Values dotF32(Emitter &e, WeightReader &weight, Value sub, Value a, int64_t tokens, int64_t first, ValueRange acc) {
  Values result(acc.begin(), acc.end());
  weight.values(sub, [&](int column, Value w) {
    for (auto [i, sum] : llvm::enumerate(result))
      sum = e.fma(w, e.loadSpread(e.f32, e.at(a, 4 * (column * tokens + first + i))), sum);
  });
  return result;
}

struct SelectBlockDot : impl::SelectBlockDotBase<SelectBlockDot> {
  using impl::SelectBlockDotBase<SelectBlockDot>::SelectBlockDotBase;

  void select(linalg::GenericOp generic, BlockDotOp dot, const Level &chip) {
    OpBuilder builder(generic);
    Emitter e(builder, generic.getLoc(), chip);
    Value weights = generic.getInputs()[0], activations = generic.getInputs()[1], out = generic.getOutputs()[0];
    auto activation = dot.getActivation().getType();
    const int64_t tokens = activation.getTokens(), subBytes = activation.getBytes() / (activation.getColumns() / 32);
    const bool codes = activation.getElement() != "f32";
    std::optional<CodeDot> products;
    if (codes)
      products.emplace(e, activation);
    // Codes are worth unpacking for as many tokens as there are, though AVX2 keeps the accumulators of 16 on the stack.
    const int64_t atOnce = codes ? 16 : chip.tokensAtOnce;
    Value tokenTiles = e.dim(out, 0), rowTiles = e.dim(out, 2), blocks = e.dim(weights, 1);
    const int64_t blockBytes = dot.getWeight().getType().getBytes();

    e.loop(rowTiles, [&](Value n) {
      e.loop(tokenTiles, [&](Value m) {
        for (int64_t first = 0; first < tokens; first += atOnce) {
          const int64_t count = std::min<int64_t>(atOnce, tokens - first);
          Values place, acc;
          for (int64_t t = 0; t < count; ++t) {
            place.push_back(e.pointer(out, {m, e.number(first + t), n}));
            acc.push_back(e.load(e.vec(e.f32), place.back()));
          }
          acc = e.loop(e.number(0), blocks, 1, acc, [&](Value k, ValueRange carried) {
            WeightReader weight(e, dot.getWeight().getType().getFormat());
            Value w = e.pointer(weights, {n, k}), a = e.pointer(activations, {m, k});
            weight.open(w);
            auto step = [&](Value sub, ValueRange sums) {
              Value block = e.at(a, sub, subBytes);
              return codes ? products->dot(weight, sub, block, first, sums)
                           : dotF32(e, weight, sub, block, tokens, first, sums);
            };
            if (tokens == 1)
              for (int64_t line = 0; line < blockBytes; line += 64)
                e.prefetch(e.at(w, chip.prefetchBytes + line));
            if (weight.subBlocks() == 1)
              return step(e.number(0), carried);
            return e.loop(e.number(0), e.number(weight.subBlocks()), 1, carried, step);
          });
          for (auto [sum, to] : llvm::zip(acc, place))
            e.store(sum, to);
        }
      });
    });
    generic.erase();
  }

  void runOnOperation() override {
    const Level *chip = findLevel(levelName);
    if (!chip) {
      getOperation().emitError() << "expects a known level, but got '" << levelName << "'";
      return signalPassFailure();
    }
    SmallVector<std::pair<linalg::GenericOp, BlockDotOp>> work;
    getOperation().walk([&](linalg::GenericOp generic) {
      for (auto dot : generic.getBody()->getOps<BlockDotOp>())
        work.push_back({generic, dot});
    });
    for (auto [generic, dot] : work) {
      if (generic.getNumLoops() != 4 || !generic.hasPureBufferSemantics() ||
          dot.getWeight().getType().getRows() != kLanes) {
        generic.emitError()
            << "expects block_dot on memrefs of packed blocks over (token tile, token, row tile, block)";
        return signalPassFailure();
      }
      select(generic, dot, *chip);
      ++selected;
    }
  }
};
} // namespace
} // namespace stepdown
