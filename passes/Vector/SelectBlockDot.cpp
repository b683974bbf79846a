// A linalg.generic over (token tile, token, row tile, block) whose body is one block_dot becomes loops with the
// accumulators in registers: for every row tile and token tile, the blocks are streamed once, unpacked once, and used
// for all tokens. The order in which a row's products are added is the order of the columns, whatever the tile: results
// never depend on it.
#include "dialects/Transformer/IR/TransformerOps.h"
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

/// Products of `w` with quads [begin, end) of token `t`, as float lanes; with `residual` 256 times those of the codes
/// plus those of the residual codes (the scale counts the 256). `a` points to the activation block of `tokens` tokens.
Value dotCodes(Emitter &e, WeightReader::Codes &w, Value a, int64_t tokens, int64_t t, int begin, int end,
               bool residual) {
  Value total;
  for (int plane = 0; plane <= int(residual); ++plane) {
    Values quads;
    for (int q = begin; q < end; ++q)
      quads.push_back(e.loadSpread(e.i32, e.at(a, (12 + 32 * plane) * tokens + 4 * (q * tokens + t))));
    if (total)
      total = e.shiftLeft(total, 8);
    total = e.dotQuads(ArrayRef<Value>(w.quads).slice(begin, end - begin), quads, w.maxCode, total);
  }
  return e.toF32(total);
}

/// Accumulators after 32 columns, 8-bit activations.
Values dotQ8(Emitter &e, WeightReader &weight, Value sub, Value a, int64_t tokens, int64_t first, bool residual,
             ValueRange acc) {
  WeightReader::Codes w = weight.codes(sub);
  Values result;
  for (auto [i, sum] : llvm::enumerate(acc)) {
    int64_t t = first + i;
    Value scale = e.loadSpread(e.f32, e.at(a, 4 * t));
    if (w.groups == 1) {
      Value dot = dotCodes(e, w, a, tokens, t, 0, 8, residual);
      Value next = sum;
      if (w.bias[0])
        next = e.fma(w.bias[0], e.loadSpread(e.f32, e.at(a, 4 * (tokens + t))), next);
      result.push_back(e.fma(dot, e.mul(w.scale[0], scale), next));
      continue;
    }
    Value low = dotCodes(e, w, a, tokens, t, 0, 4, residual), high = dotCodes(e, w, a, tokens, t, 4, 8, residual);
    Value next = sum;
    if (w.bias[0]) { // bias0 * (all - upper) + bias1 * upper
      next = e.fma(w.bias[0], e.loadSpread(e.f32, e.at(a, 4 * (tokens + t))), next);
      next = e.fma(e.sub(w.bias[1], w.bias[0]), e.loadSpread(e.f32, e.at(a, 4 * (2 * tokens + t))), next);
    }
    Value dot = e.fma(high, w.scale[1], e.mul(low, w.scale[0]));
    result.push_back(e.fma(dot, scale, next));
  }
  return result;
}

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
    const bool residual = activation.getElement() == "q8x2", codes = residual || activation.getElement() == "q8";
    Value tokenTiles = e.dim(out, 0), rowTiles = e.dim(out, 2), blocks = e.dim(weights, 1);
    const int64_t blockBytes = dot.getWeight().getType().getBytes();

    e.loop(rowTiles, [&](Value n) {
      e.loop(tokenTiles, [&](Value m) {
        for (int64_t first = 0; first < tokens; first += chip.tokensAtOnce) {
          const int64_t count = std::min<int64_t>(chip.tokensAtOnce, tokens - first);
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
              return codes ? dotQ8(e, weight, sub, block, tokens, first, residual, sums)
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
