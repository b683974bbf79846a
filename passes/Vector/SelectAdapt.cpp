// What the adapter of a token adds to a linear: h = A x, then B h. Both matrices lie so that a vector of them is what
// one number of x, or of h, is multiplied with: of A all ranks of a column, of B 16 results of a rank. A token without
// an adapter keeps its row, bit for bit.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Vector/SelectTileOps.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown {
namespace {

constexpr int64_t kSums = 8;     // of h at a time, so that one multiply-add need not wait for the other
constexpr int64_t kTogether = 8; // vectors of y

/// h [rank in whole vectors], at `h`, of the row at `x` and the matrix [in, room] at `down`.
void multiplyDown(Emitter &e, Value x, Value down, Value h, int64_t in, int64_t room) {
  const VectorType floats = e.vec(e.f32), halves = e.vec(e.f16);
  Value zero = e.splat(floats, 0.0);
  for (int64_t v = 0; v < room / e.lanes; ++v) {
    Emitter::Values sums =
        e.loop(e.number(0), e.number(in), kSums, Emitter::Values(kSums, zero), [&](Value c, ValueRange carried) {
          Value from = e.at(x, c, 4), row = e.at(e.at(down, c, 2 * room), 2 * e.lanes * v);
          Emitter::Values next;
          for (int64_t s = 0; s < kSums; ++s)
            next.push_back(e.fma(e.toF32(e.load(halves, e.at(row, 2 * room * s))),
                                 e.loadSpread(e.f32, e.at(from, 4 * s)), carried[s]));
          return next;
        });
    for (int64_t left = kSums / 2; left; left /= 2)
      for (int64_t s = 0; s < left; ++s)
        sums[s] = e.add(sums[s], sums[s + left]);
    e.store(sums[0], e.at(h, 4 * e.lanes * v));
  }
}

/// y = x + B h for `count` vectors from `first` on, of the matrix [rank, out] at `up`.
void multiplyUp(Emitter &e, Value x, Value up, Value h, Value y, Value first, int64_t count, int64_t rank,
                int64_t out) {
  Value at = e.at(up, first, 2 * e.lanes);
  Emitter::Values sums =
      e.loop(e.number(0), e.number(rank), 1, Emitter::Values(count, e.splat(e.vec(e.f32), 0.0)),
             [&](Value r, ValueRange carried) {
               Value factor = e.loadSpread(e.f32, e.at(h, r, 4)), row = e.at(at, r, 2 * out);
               Emitter::Values next;
               for (int64_t v = 0; v < count; ++v)
                 next.push_back(e.fma(e.toF32(e.load(e.vec(e.f16), e.at(row, 2 * e.lanes * v))), factor, carried[v]));
               return next;
             });
  Value from = e.at(x, first, 4 * e.lanes), to = e.at(y, first, 4 * e.lanes);
  for (int64_t v = 0; v < count; ++v)
    e.store(e.add(e.load(e.vec(e.f32), e.at(from, 4 * e.lanes * v)), sums[v]), e.at(to, 4 * e.lanes * v));
}

} // namespace

void selectAdapt(AdaptOp op, Emitter &e) {
  Value x = op.getX(), of = op.getOf(), slots = op.getSlots(), down = op.getDown(), up = op.getUp(), y = op.getY();
  auto size = [](Value operand, unsigned d) { return cast<MemRefType>(operand.getType()).getDimSize(d); };
  const int64_t in = size(down, 1), room = size(down, 2), rank = size(up, 1), out = size(up, 2);
  const int64_t vectors = out / e.lanes, whole = vectors / kTogether * kTogether;
  Value zero = e.number(0), h = e.scratch(4 * room);
  e.loop(e.dim(y, 0), [&](Value t) {
    Value from = e.pointer(x, {t, zero}), to = e.pointer(y, {t, zero});
    Value slot = memref::LoadOp::create(e.b, e.loc, slots, ValueRange{t});
    Value none = e.splat(e.i32, 0.0);
    auto is = [&](arith::CmpIPredicate predicate) {
      return arith::CmpIOp::create(e.b, e.loc, predicate, slot, none).getResult();
    };
    e.when(is(arith::CmpIPredicate::eq), [&] {
      e.loop(e.number(vectors),
             [&](Value v) { e.store(e.load(e.vec(e.f32), e.at(from, v, 4 * e.lanes)), e.at(to, v, 4 * e.lanes)); });
    });
    e.when(is(arith::CmpIPredicate::ne), [&] {
      // What slots are is nobody's to check but this kernel's, as ids of experts are.
      Value last = arith::ConstantIntOp::create(e.b, e.loc, e.i32, size(up, 0) - 1);
      Value known = e.cast(arith::MinUIOp::create(e.b, e.loc, slot, last), e.index);
      multiplyDown(e, e.pointer(of, {t, zero}), e.pointer(down, {known, zero, zero}), h, in, room);
      Value matrix = e.pointer(up, {known, zero, zero});
      if (whole)
        e.loop(zero, e.number(whole), kTogether, {}, [&](Value first, ValueRange) {
          multiplyUp(e, from, matrix, h, to, first, kTogether, rank, out);
          return Emitter::Values();
        });
      if (whole != vectors)
        multiplyUp(e, from, matrix, h, to, e.number(whole), vectors - whole, rank, out);
    });
  });
  op.erase();
}

} // namespace stepdown
