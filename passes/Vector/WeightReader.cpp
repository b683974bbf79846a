#include "passes/Vector/WeightReader.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include <algorithm>

using namespace mlir;

namespace stepdown {

WeightReader::WeightReader(Emitter &emitter, const BlockFormat &format)
    : e(emitter), packed(packedBlock(emitter.layout, format)), format(format), offset(format.offset) {
  if (format.table) // table values become unsigned by adding what makes the smallest one zero
    offset = -*std::min_element(format.table, format.table + 16);
}

void WeightReader::open(Value pointer) {
  block = pointer;
  if (!format.isQuantised())
    return;
  d = e.toF32(e.load(e.vec(packed.d.bytes == 4 ? e.f32 : e.f16), e.at(block, packed.d.at(0))));
  if (packed.m.exists())
    m = e.toF32(e.load(e.vec(e.f16), e.at(block, packed.m.at(0))));
}

Value WeightReader::tableOf(int bias) {
  uint8_t bytes[16];
  for (int i = 0; i < 16; ++i)
    bytes[i] = static_cast<uint8_t>(format.table[i] + bias);
  return e.bytes64(bytes);
}

Emitter::Values WeightReader::quads(Value sub) {
  VectorType lanes = e.vec(e.i32);
  Value base = e.at(e.at(block, packed.codesOffset), sub, packed.codeBytes);
  Emitter::Values result(kQuads);
  for (int i = 0; i < packed.planes; ++i) {
    const PackedPlane &plane = packed.plane[i];
    Emitter::Values raw;
    for (int q = 0; q < plane.vectors(); ++q) // the first quads lie in different vectors
      raw.push_back(e.load(lanes, e.at(base, plane.vectorOf(q))));
    for (int q = 0; q < kQuads; ++q) {
      Value x = raw[q % plane.vectors()];
      if (plane.bits < 8) {
        int shift = plane.shiftOf(q) - plane.low; // moves the plane's bits to where they belong in the code
        if (shift > 0)
          x = arith::ShRUIOp::create(e.b, e.loc, x, e.splat(lanes, shift));
        else if (shift < 0)
          x = arith::ShLIOp::create(e.b, e.loc, x, e.splat(lanes, -shift));
        uint32_t mask = ((1u << plane.bits) - 1) << plane.low;
        x = arith::AndIOp::create(e.b, e.loc, x, e.splat(lanes, static_cast<int32_t>(mask * 0x01010101u)));
      }
      result[q] = result[q] ? Value(arith::OrIOp::create(e.b, e.loc, result[q], x)) : x;
    }
  }
  if (format.table) {
    Value table = tableOf(offset);
    for (Value &q : result)
      q = e.lookUp(table, q);
  }
  return result;
}

/// Integer scale or minimum of a group of the 32 columns `sub`, as float lanes.
Value WeightReader::groupField(const PackedField &field, Value sub, int group, bool isSigned) {
  const int groups = kCodeColumns / format.group;
  Value bytes = e.load(e.vec(e.i8), e.at(e.at(block, field.at(0, group)), sub, groups * field.stride));
  Value wide = isSigned ? Value(arith::ExtSIOp::create(e.b, e.loc, e.vec(e.i32), bytes))
                        : Value(arith::ExtUIOp::create(e.b, e.loc, e.vec(e.i32), bytes));
  return e.toF32(wide);
}

WeightReader::Codes WeightReader::codes(Value sub) {
  Codes c;
  c.quads = quads(sub);
  c.groups = kCodeColumns / format.group;
  c.maxCode = (1 << format.bits) - 1;
  if (format.table)
    c.maxCode = *std::max_element(format.table, format.table + 16) + offset;
  for (int g = 0; g < c.groups; ++g) {
    c.scale[g] = packed.scales.exists() ? e.mul(d, groupField(packed.scales, sub, g, true)) : d;
    Value bias;
    if (format.minimum == BlockFormat::Plain)
      bias = m;
    else if (format.minimum == BlockFormat::Grouped)
      bias = e.mul(e.mul(m, e.splat(e.vec(e.f32), -1.0)), groupField(packed.minimums, sub, g, false));
    if (offset)
      bias = bias ? e.fma(c.scale[g], e.splat(e.vec(e.f32), -offset), bias)
                  : e.mul(c.scale[g], e.splat(e.vec(e.f32), -offset));
    c.bias[g] = bias;
  }
  return c;
}

void WeightReader::values(Value sub, llvm::function_ref<void(int, Value)> column) {
  if (!format.isQuantised()) {
    Type element = format.storage == Storage::F32 ? e.f32 : format.storage == Storage::F16 ? e.f16 : e.i16;
    for (int c = 0; c < kCodeColumns; ++c) {
      Value x = e.load(e.vec(element), e.at(block, packed.values.at(0, c)));
      if (format.storage == Storage::BF16)
        x = e.bitcast(arith::ShLIOp::create(e.b, e.loc, arith::ExtUIOp::create(e.b, e.loc, e.vec(e.i32), x),
                                            e.splat(e.vec(e.i32), 16)),
                      e.vec(e.f32));
      column(c, e.toF32(x));
    }
    return;
  }
  Emitter::Values all = quads(sub);
  Value scale, minimum;
  for (int c = 0; c < kCodeColumns; ++c) {
    if (c % format.group == 0) {
      int g = c / format.group;
      scale = packed.scales.exists() ? e.mul(d, groupField(packed.scales, sub, g, true)) : d;
      if (format.minimum == BlockFormat::Grouped)
        minimum = e.mul(m, groupField(packed.minimums, sub, g, false));
    }
    Value code = all[c / 4];
    if (c % 4)
      code = arith::ShRUIOp::create(e.b, e.loc, code, e.splat(e.vec(e.i32), 8 * (c % 4)));
    code = arith::AndIOp::create(e.b, e.loc, code, e.splat(e.vec(e.i32), 255));
    if (offset)
      code = e.sub(code, e.splat(e.vec(e.i32), offset));
    Value value = e.mul(scale, e.toF32(code));
    if (format.minimum == BlockFormat::Plain)
      value = e.add(value, m);
    else if (format.minimum == BlockFormat::Grouped)
      value = e.sub(value, minimum);
    column(c, value);
  }
}

} // namespace stepdown
