// Keys and values of a step's tokens into the paged cache, rounded to its element: numbers one by one, or blocks of 32
// channels as dialects/Transformer/IR/CachedRows.h has them. The scale of a block is its largest magnitude over 127,
// rounded to binary16; codes are to the nearest of what that scale makes, ties to even. Magnitudes are compared as
// integers, so that a NaN is the largest: its block has a scale that is none, as a value that is not finite has.
#include "dialects/Transformer/IR/CachedRows.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Vector/CachedNumbers.h"
#include "passes/Vector/SelectTileOps.h"

using namespace mlir;
using namespace stepdown::tile;
using namespace stepdown::transformer;

namespace stepdown {
namespace {

/// One head of one position: where its channels come from, and how far apart its elements lie in the cache.
struct Row {
  Value from, to;
  int64_t channels, stride; ///< bytes
};

/// One number after the other.
void putNumbers(Emitter &e, Type element, const Row &row) {
  const int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  e.loop(e.number(row.channels), [&](Value i) {
    Value value = e.load(e.f32, e.at(row.from, i, 4));
    if (isa<Float8E4M3FNType>(element))
      value = narrowToE4M3(e, value);
    else if (!element.isF32())
      value = arith::TruncFOp::create(e.b, e.loc, element, value);
    e.store(value, e.at(row.to, i, row.stride * bytes));
  });
}

/// `channels` channels, at most a block, from `from`; their codes go to `codes`, the scale to `scale`.
void putBlock(Emitter &e, Value from, int64_t channels, Value codes, Value scale, int64_t stride) {
  const VectorType lanes = e.vec(e.f32), ints = e.vec(e.i32);
  Emitter::Values values;
  Value largest;
  for (int64_t c = 0; c < channels; c += e.lanes) {
    values.push_back(e.load(lanes, e.at(from, 4 * c)));
    Value magnitude = arith::AndIOp::create(e.b, e.loc, e.bitcast(values.back(), ints), e.splat(ints, 0x7fffffff));
    largest = largest ? Value(arith::MaxSIOp::create(e.b, e.loc, largest, magnitude)) : magnitude;
  }
  Value exact = e.mul(e.bitcast(e.maxLanes(largest), e.f32), e.splat(e.f32, 1.0 / 127));
  Value rounded = arith::TruncFOp::create(e.b, e.loc, e.f16, exact), unit = e.toF32(rounded), zero = e.splat(e.f32, 0);
  Value isZero = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, unit, zero);
  Value factor = e.spread(e.select(isZero, zero, Value(arith::DivFOp::create(e.b, e.loc, e.splat(e.f32, 1.0), unit))));
  Value bits = e.bitcast(rounded, e.i16), eight = e.splat(e.i16, 8);
  e.store(arith::TruncIOp::create(e.b, e.loc, e.i8, bits), scale);
  e.store(arith::TruncIOp::create(e.b, e.loc, e.i8, arith::ShRUIOp::create(e.b, e.loc, bits, eight)),
          e.at(scale, stride));
  Value most = e.splat(lanes, 127), least = e.splat(lanes, -127), place = stride == 1 ? Value() : e.scratch(e.lanes);
  for (auto [i, value] : llvm::enumerate(values)) {
    // What is not a number is `most` here, and not its integer, which would be undefined.
    Value code = math::RoundEvenOp::create(e.b, e.loc, e.mul(value, factor));
    code = e.select(e.less(code, most), code, most);
    code = e.select(e.less(code, least), least, code);
    code = arith::TruncIOp::create(e.b, e.loc, e.vec(e.i8), arith::FPToSIOp::create(e.b, e.loc, ints, code));
    Value to = e.at(codes, int64_t(i) * e.lanes * stride);
    if (stride == 1) {
      e.store(code, to);
      continue;
    }
    e.store(code, place);
    e.loop(e.number(e.lanes), [&](Value c) { e.store(e.load(e.i8, e.at(place, c)), e.at(to, c, stride)); });
  }
}

void putBlocks(Emitter &e, const Row &row) {
  const int64_t whole = row.channels / kCachedBlock, rest = row.channels % kCachedBlock;
  auto put = [&](Value block, int64_t channels) {
    putBlock(e, e.at(row.from, block, 4 * kCachedBlock), channels, e.at(row.to, block, kCachedBlock * row.stride),
             e.at(e.at(row.to, row.channels * row.stride), block, 2 * row.stride), row.stride);
  };
  if (whole)
    e.loop(e.number(whole), [&](Value block) { put(block, kCachedBlock); });
  if (rest)
    put(e.number(whole), rest);
}

} // namespace

void selectCacheStore(CacheStoreOp op, Emitter &e) {
  Value k = op.getK(), v = op.getV(), positions = op.getPositions(), sequences = op.getSequences();
  Value table = op.getTable(), keys = op.getKeys(), values = op.getValues();
  auto keyType = cast<MemRefType>(keys.getType()), valueType = cast<MemRefType>(values.getType());
  const Type element = keyType.getElementType();
  const int64_t heads = keyType.getDimSize(1), keyDim = cachedChannels(element, keyType.getDimSize(3)),
                valueDim = cachedChannels(element, valueType.getDimSize(3));
  Value blockSize = e.dim(values, 2), lanes = e.number(e.lanes), zero = e.number(0);
  auto indexAt = [&](Value memref, ValueRange at) {
    return e.cast(memref::LoadOp::create(e.b, e.loc, memref, at), e.index);
  };
  struct Place {
    Value block, inBlock, group, lane;
  };
  auto placeOf = [&](Value token) {
    Value p = indexAt(positions, {token}), s = indexAt(sequences, {token});
    Value inBlock = arith::RemUIOp::create(e.b, e.loc, p, blockSize);
    return Place{indexAt(table, {s, arith::DivUIOp::create(e.b, e.loc, p, blockSize)}), inBlock,
                 arith::DivUIOp::create(e.b, e.loc, inBlock, lanes),
                 arith::RemUIOp::create(e.b, e.loc, inBlock, lanes)};
  };
  // A number of each channel of a key, all of them in other lines of memory: these of the next token are fetched
  // meanwhile.
  auto fetch = [&](Value token) {
    const Place next = placeOf(token);
    const int64_t bytes = keyType.getDimSize(3) * e.lanes * element.getIntOrFloatBitWidth() / 8;
    e.loop(e.number(heads), [&](Value h) {
      Value from = e.pointer(keys, {next.block, h, next.group, zero, zero});
      e.loop(e.number(0), e.number(bytes), 64, {}, [&](Value line, ValueRange) {
        e.prefetch(e.at(from, line), false);
        return Emitter::Values();
      });
      e.prefetch(e.pointer(values, {next.block, h, next.inBlock, zero}), false);
    });
  };
  e.loop(e.dim(k, 0), [&](Value r) {
    Value after = e.addI(r, 1);
    e.when(e.less(after, e.dim(k, 0)), [&] { fetch(after); });
    const Place to = placeOf(r);
    e.when(arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::sge, to.block, zero), [&] {
      e.loop(e.number(heads), [&](Value h) {
        auto head = [&](Value rows, int64_t channels) {
          return e.at(e.pointer(rows, {r, zero}), e.mul(h, e.number(channels)), 4);
        };
        const Row key = {head(k, keyDim), e.pointer(keys, {to.block, h, to.group, zero, to.lane}), keyDim, e.lanes};
        const Row value = {head(v, valueDim), e.pointer(values, {to.block, h, to.inBlock, zero}), valueDim, 1};
        for (const Row &row : {key, value})
          element.isInteger(8) ? putBlocks(e, row) : putNumbers(e, element, row);
      });
    });
  });
  op.erase();
}

} // namespace stepdown
