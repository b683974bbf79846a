#include "passes/Vector/WeightReader.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/Support/MathExtras.h"
#include <algorithm>
#include <cassert>

using namespace mlir;

namespace stepdown {

WeightReader::WeightReader(Emitter &emitter, const BlockFormat &format, int row, int64_t lanes)
    : e(emitter), packed(packedBlock(emitter.layout, format)), format(format), row(row),
      lanes(lanes ? lanes : emitter.lanes), offset(format.offset), maxCode((1 << format.bits) - 1) {
  if (format.table) { // table values become unsigned by adding a power of two
    const auto [least, most] = std::minmax_element(format.table, format.table + 16);
    offset = int(llvm::PowerOf2Ceil(-*least));
    // Of more than 6 bits the sums of two pairs have no room in 16: then as QuadSum takes those of 8, but for two
    // groups.
    if (*most + offset > 64 && format.group == kCodeColumns)
      offset = 128;
    maxCode = *most + offset;
  }
  less = format.isQuantised() && QuadSum::takesLess(e.target, maxCode) ? 128 : 0;
}

void WeightReader::open(Value pointer) {
  block = pointer;
  if (!format.isQuantised())
    return;
  d = e.toF32(e.load(e.vec(format.wide ? e.f32 : e.f16, lanes), e.at(block, packed.d.at(row))));
  if (packed.m.exists())
    m = e.toF32(e.load(e.vec(e.f16, lanes), e.at(block, packed.m.at(row))));
}

Value WeightReader::tableOf(int bias) {
  uint8_t bytes[16];
  for (int i = 0; i < 16; ++i)
    bytes[i] = static_cast<uint8_t>(format.table[i] + bias);
  return e.bytes64(bytes);
}

Value WeightReader::codesAt(Value sub) {
  Value base = e.at(e.at(block, packed.codesOffset), sub, packed.codeBytes);
  return e.at(base, PackedPlane::byteOf(row, 0));
}

Value WeightReader::masked(Value x, const PackedPlane &plane) {
  const uint32_t mask = ((1u << plane.bits) - 1) << plane.low;
  return arith::AndIOp::create(e.b, e.loc, x, e.splat(x.getType(), static_cast<int32_t>(mask * 0x01010101u)));
}

Value WeightReader::unsignedCodes(Value numbers) { return format.table ? e.lookUp(tableOf(offset), numbers) : numbers; }

Value WeightReader::taken(Value numbers) {
  if (format.table)
    return e.lookUp(tableOf(offset - less), numbers);
  return less ? arith::XOrIOp::create(e.b, e.loc, numbers, e.splat(numbers.getType(), 0x80808080)) : numbers;
}

Value WeightReader::numbers(Value sub, int q) {
  VectorType type = e.vec(e.i32, lanes);
  Value base = codesAt(sub), codes;
  for (int i = 0; i < packed.planes; ++i) {
    const PackedPlane &plane = packed.plane[i];
    Value x = e.load(type, e.at(base, plane.vectorOf(q)));
    if (plane.bits < 8) {
      const int shift = plane.shiftOf(q) - plane.low; // moves the plane's bits to where they belong in the code
      if (shift > 0)
        x = arith::ShRUIOp::create(e.b, e.loc, x, e.splat(type, shift));
      else if (shift < 0)
        x = e.shiftLeft(x, -shift);
      x = masked(x, plane);
    }
    codes = codes ? Value(arith::OrIOp::create(e.b, e.loc, codes, x)) : x;
  }
  return codes;
}

Value WeightReader::numbers(Value sub, Value q) {
  VectorType type = e.vec(e.i32, lanes);
  Value base = codesAt(sub), codes;
  for (int i = 0; i < packed.planes; ++i) {
    const PackedPlane &plane = packed.plane[i];
    const int vectors = plane.vectors(); // a power of two, as bits are
    Value vector = arith::AndIOp::create(e.b, e.loc, q, e.number(vectors - 1));
    Value x = e.load(type, e.at(e.at(base, plane.offset), vector, plane.vectorBytes));
    if (plane.bits < 8) {
      Value shift = e.mul(arith::DivUIOp::create(e.b, e.loc, q, e.number(vectors)), e.number(plane.bits));
      x = arith::ShRUIOp::create(e.b, e.loc, x, e.spread(e.cast(shift, e.i32), lanes));
      if (plane.low)
        x = e.shiftLeft(x, plane.low);
      x = masked(x, plane);
    }
    codes = codes ? Value(arith::OrIOp::create(e.b, e.loc, codes, x)) : x;
  }
  return codes;
}

Value WeightReader::groupPlace(const PackedField &field, Value sub, int group) {
  const int groups = kCodeColumns / format.group;
  return e.at(e.at(block, field.at(row, group)), sub, groups * field.stride);
}

/// Integer scale or minimum of a group of the 32 columns `sub`.
Value WeightReader::groupField(const PackedField &field, Value sub, int group, bool isSigned) {
  return integers(groupPlace(field, sub, group), isSigned);
}

/// scaleOf() of lib/Checkpoint/BlockFormat.h.
Value WeightReader::scalesAt(Value at) {
  if (!format.floatScales)
    return e.toF32(integers(at, true));
  Value bytes = e.load(e.vec(e.i8, lanes), at);
  Value halves = e.shiftLeft(arith::ExtUIOp::create(e.b, e.loc, e.vec(e.i16, lanes), bytes), 7);
  return e.mul(e.toF32(e.bitcast(halves, e.vec(e.f16, lanes))), e.splat(e.vec(e.f32, lanes), 128));
}

Value WeightReader::integers(Value at, bool isSigned) {
  Value bytes = e.load(e.vec(e.i8, lanes), at);
  return isSigned ? Value(arith::ExtSIOp::create(e.b, e.loc, e.vec(e.i32, lanes), bytes))
                  : Value(arith::ExtUIOp::create(e.b, e.loc, e.vec(e.i32, lanes), bytes));
}

Value WeightReader::factor(Value sub, Value group) {
  const int groups = kCodeColumns / format.group;
  Value first = e.at(e.at(block, packed.scales.at(row, 0)), sub, groups * packed.scales.stride);
  return integers(e.at(first, group, packed.scales.stride), true);
}

Value WeightReader::groupScale(Value sub, Value group) {
  const int groups = kCodeColumns / format.group;
  Value first = e.at(e.at(block, packed.scales.at(row, 0)), sub, groups * packed.scales.stride);
  return e.mul(d, scalesAt(e.at(first, group, packed.scales.stride)));
}

WeightReader::Codes WeightReader::codes(Value sub) {
  Codes c = scales(sub);
  for (int q = 0; q < kQuads; ++q)
    c.quads.push_back(quad(sub, q));
  return c;
}

WeightReader::Codes WeightReader::scales(Value sub) {
  Codes c;
  c.groups = kCodeColumns / format.group;
  c.maxCode = maxCode;
  c.isLess = less != 0;
  c.excess = offset - less;
  assert((!c.excess || llvm::isPowerOf2_32(c.excess)) && (!offset || format.minimum == BlockFormat::None));
  assert((!less || c.groups == 1) && "expects a scale for all columns of codes that are less than they are");
  c.scale = d;
  for (int g = 0; g < c.groups; ++g) {
    if (format.floatScales) {
      c.groupScale[g] = e.mul(d, scalesAt(groupPlace(packed.scales, sub, g)));
    } else if (packed.scales.exists()) {
      Value factor = groupField(packed.scales, sub, g, true);
      if (c.groups == 1)
        c.scale = e.mul(d, e.toF32(factor));
      else
        c.factor[g] = factor;
    }
    if (format.minimum == BlockFormat::Plain)
      c.bias[g] = m;
    else if (format.minimum == BlockFormat::Grouped)
      c.bias[g] =
          e.mul(e.mul(m, e.splat(e.vec(e.f32, lanes), -1.0)), e.toF32(groupField(packed.minimums, sub, g, false)));
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
  Emitter::Values all;
  for (int q = 0; q < kQuads; ++q)
    all.push_back(unsignedCodes(numbers(sub, q)));
  Value scale, minimum;
  for (int c = 0; c < kCodeColumns; ++c) {
    if (c % format.group == 0) {
      int g = c / format.group;
      scale = packed.scales.exists() ? e.mul(d, scalesAt(groupPlace(packed.scales, sub, g))) : d;
      if (format.minimum == BlockFormat::Grouped)
        minimum = e.mul(m, e.toF32(groupField(packed.minimums, sub, g, false)));
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
