// How a thread of a device reads a packed block: one row, four columns at a time, as float32. Where each value lies is
// said by lib/Target/Layout.h, what it means by lib/Checkpoint/BlockFormat.h; the words of a quad are what a product of
// bytes would read, so that one load holds four codes. As binary16, for matrix units, by lib/Kernels/BlockUnpacker.h.
#include "dialects/Tile/IR/TileOps.h"
#include "lib/Kernels/BlockUnpacker.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Vector/Emitter.h"
#include "passes/Vector/Passes.h"

using namespace mlir;

namespace stepdown {
#define GEN_PASS_DEF_UNPACKBLOCKS
#include "passes/Vector/Passes.h.inc"

namespace {

/// Where the fields and the codes of a quad lie.
class QuadPlace {
protected:
  QuadPlace(Emitter &emitter, const BlockFormat &format, Value block, Value row, Value quad)
      : e(emitter), format(format), packed(packedBlock(emitter.layout, format)), block(block), row(row), quad(quad) {}

  Value divide(Value a, int64_t c) { return arith::DivUIOp::create(e.b, e.loc, a, e.number(c)); }
  Value remainder(Value a, int64_t c) { return arith::RemUIOp::create(e.b, e.loc, a, e.number(c)); }
  Value times(Value a, int64_t c) { return arith::MulIOp::create(e.b, e.loc, a, e.number(c)); }
  Value constant(int64_t v) { return arith::ConstantOp::create(e.b, e.loc, e.b.getI32IntegerAttr(int32_t(v))); }

  Value field(const PackedField &of, Type type, Value which = {}) {
    Value at = e.at(e.at(block, of.offset), row, of.bytes);
    return e.load(type, which ? e.at(at, which, of.stride) : at);
  }

  /// The four codes, a byte each.
  Value codes() {
    Value sub = divide(quad, kQuads), inSub = remainder(quad, kQuads), all;
    Value base = e.at(e.at(e.at(block, packed.codesOffset), sub, packed.codeBytes), row, kQuadColumns);
    for (int i = 0; i < packed.planes; ++i) {
      const PackedPlane &plane = packed.plane[i];
      const int vectors = plane.vectors();
      Value x = e.load(e.i32, e.at(e.at(base, plane.offset), remainder(inSub, vectors), plane.vectorBytes));
      if (plane.bits < 8) {
        Value shift = e.cast(times(divide(inSub, vectors), plane.bits), e.i32);
        const uint32_t mask = (1u << plane.bits) - 1;
        x = arith::AndIOp::create(e.b, e.loc, arith::ShRUIOp::create(e.b, e.loc, x, shift),
                                  constant(int32_t(mask * 0x01010101u)));
        if (plane.low)
          x = arith::ShLIOp::create(e.b, e.loc, x, constant(plane.low));
      }
      all = all ? Value(arith::OrIOp::create(e.b, e.loc, all, x)) : x;
    }
    return all;
  }

  /// The group of columns that the quad is in.
  Value group() { return divide(quad, format.group / kQuadColumns); }

  Emitter &e;
  const BlockFormat &format;
  const PackedBlock packed;
  Value block, row, quad;
};

/// A quad as float32.
class QuadReader : QuadPlace {
public:
  QuadReader(Emitter &emitter, const BlockFormat &format, Value block, Value row, Value quad)
      : QuadPlace(emitter, format, block, row, quad) {}
  SmallVector<Value> values() { return format.isQuantised() ? codedValues() : storedValues(); }

private:
  SmallVector<Value> storedValues() {
    Type type = format.storage == Storage::F32 ? e.f32 : format.storage == Storage::F16 ? e.f16 : e.i16;
    SmallVector<Value> result;
    for (int c = 0; c < kQuadColumns; ++c) {
      Value column = times(quad, kQuadColumns);
      Value x = field(packed.values, type, c ? e.addI(column, c) : column);
      if (format.storage == Storage::BF16)
        x = e.bitcast(arith::ShLIOp::create(e.b, e.loc, arith::ExtUIOp::create(e.b, e.loc, e.i32, x), constant(16)),
                      e.f32);
      result.push_back(e.toF32(x));
    }
    return result;
  }

  /// The signed byte number `code` of the format's table, which two words hold.
  Value fromTable(Value code) {
    uint64_t halves[2] = {};
    for (int i = 0; i < 16; ++i)
      halves[i / 8] |= uint64_t(uint8_t(format.table[i])) << (8 * (i % 8));
    auto word = [&](uint64_t v) -> Value {
      return arith::ConstantOp::create(e.b, e.loc, e.b.getI64IntegerAttr(int64_t(v)));
    };
    Value low = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::ult, code, constant(8));
    Value shift = arith::ShLIOp::create(e.b, e.loc, arith::AndIOp::create(e.b, e.loc, code, constant(7)), constant(3));
    Value half = e.select(low, word(halves[0]), word(halves[1]));
    Value byte = arith::ShRUIOp::create(e.b, e.loc, half, arith::ExtUIOp::create(e.b, e.loc, e.i64, shift));
    return arith::ExtSIOp::create(e.b, e.loc, e.i32, arith::TruncIOp::create(e.b, e.loc, e.i8, byte));
  }

  /// scaleOf() of lib/Checkpoint/BlockFormat.h.
  Value groupScale(Value byte) {
    if (!format.floatScales)
      return e.toF32(arith::ExtSIOp::create(e.b, e.loc, e.i32, byte));
    Value seven = arith::ConstantOp::create(e.b, e.loc, e.b.getI16IntegerAttr(7));
    Value half = arith::ShLIOp::create(e.b, e.loc, arith::ExtUIOp::create(e.b, e.loc, e.i16, byte), seven);
    return e.mul(e.toF32(e.bitcast(half, e.f16)), e.splat(e.f32, 128));
  }

  SmallVector<Value> codedValues() {
    Value scale = e.toF32(field(packed.d, format.wide ? e.f32 : e.f16)), minimum;
    if (packed.scales.exists())
      scale = e.mul(scale, groupScale(field(packed.scales, e.i8, group())));
    if (packed.m.exists())
      minimum = e.toF32(field(packed.m, e.f16));
    if (packed.minimums.exists())
      minimum =
          e.mul(minimum, e.toF32(arith::ExtUIOp::create(e.b, e.loc, e.i32, field(packed.minimums, e.i8, group()))));
    Value all = codes();
    SmallVector<Value> result;
    for (int c = 0; c < kQuadColumns; ++c) {
      Value code = c ? Value(arith::ShRUIOp::create(e.b, e.loc, all, constant(8 * c))) : all;
      code = arith::AndIOp::create(e.b, e.loc, code, constant(255));
      if (format.table)
        code = fromTable(code);
      else if (format.offset)
        code = arith::SubIOp::create(e.b, e.loc, code, constant(format.offset));
      Value value = e.mul(scale, e.toF32(code));
      if (minimum)
        value = packed.minimums.exists() ? e.sub(value, minimum) : e.add(value, minimum);
      result.push_back(value);
    }
    return result;
  }
};

/// A quad as binary16, two columns at a time.
class HalfReader : QuadPlace, BlockUnpacker {
public:
  HalfReader(Emitter &emitter, ImplicitLocOpBuilder &builder, const BlockFormat &format, Value block, Value row,
             Value quad)
      : QuadPlace(emitter, format, block, row, quad), BlockUnpacker(builder, QuadPlace::packed, builder.getF16Type()),
        nvidia(StringRef(emitter.target.road) == "nvidia") {}

  SmallVector<Value> values() {
    const PackedBlock &packed = QuadPlace::packed;
    Value d = field(packed.d, e.f16), m = packed.m.exists() ? field(packed.m, e.f16) : Value(), factor, least;
    if (packed.scales.exists())
      factor = arith::SIToFPOp::create(b, e.f16, field(packed.scales, e.i8, group()));
    if (packed.minimums.exists())
      least = arith::UIToFPOp::create(b, e.f16, field(packed.minimums, e.i8, group()));
    const Scale scale = scaleOf(d, m, factor, least);
    Value each = twice(scale.scale), minimum = scale.minimum ? twice(scale.minimum) : Value(), all = looked(codes());
    SmallVector<Value> made;
    for (bool last : {false, true}) {
      Value two = bits(number(all, last, each, minimum), pair);
      for (int i : {0, 1})
        made.push_back(LLVM::ExtractElementOp::create(b, two, i32(i)));
    }
    return made;
  }

private:
  Value twice(Value x) {
    Value one = LLVM::InsertElementOp::create(b, LLVM::UndefOp::create(b, pair), x, i32(0));
    return LLVM::ShuffleVectorOp::create(b, one, one, ArrayRef<int32_t>{0, 0});
  }
  Value intrinsic(StringRef name, ValueRange operands) {
    return LLVM::CallIntrinsicOp::create(b, b.getI32Type(), b.getStringAttr(name), operands).getResult(0);
  }
  /// v_perm_b32's selector has a byte for each, NVIDIA's a nibble.
  Value permute(Value low, Value high, int32_t selector) override {
    if (nvidia)
      return intrinsic("llvm.nvvm.prmt", {low, high, i32(selector)});
    int32_t selected = 0;
    for (int i = 0; i < 4; ++i)
      selected |= (selector >> 4 * i & 7) << 8 * i;
    return pick(low, high, i32(selected));
  }
  Value pick(Value low, Value high, Value numbers) override {
    if (!nvidia)
      return intrinsic("llvm.amdgcn.perm", {high, low, numbers});
    Value near = binary("arith.ori", numbers, binary("arith.shrui", numbers, i32(4)));
    near = binary("arith.andi", near, i32(0x00ff00ff));
    return intrinsic("llvm.nvvm.prmt", {low, high, binary("arith.ori", near, binary("arith.shrui", near, i32(8)))});
  }
  const bool nvidia;
};

struct UnpackBlocks : impl::UnpackBlocksBase<UnpackBlocks> {
  using impl::UnpackBlocksBase<UnpackBlocks>::UnpackBlocksBase;

  /// Four numbers that lie together are one load, of the machine's widest.
  void loadQuads(const Target &target) {
    SmallVector<vector::LoadOp> work;
    getOperation().walk([&](vector::LoadOp op) { work.push_back(op); });
    for (vector::LoadOp op : work) {
      OpBuilder builder(op);
      Emitter e(builder, op.getLoc(), target);
      Value all =
          LLVM::LoadOp::create(builder, op.getLoc(), op.getVectorType(), e.pointer(op.getBase(), op.getIndices()),
                               op.getVectorType().getNumElements() * op.getVectorType().getElementTypeBitWidth() / 8);
      for (Operation *user : llvm::make_early_inc_range(op->getUsers()))
        if (auto one = dyn_cast<vector::ExtractOp>(user); one && one.getStaticPosition().size() == 1) {
          builder.setInsertionPoint(one);
          Value place = LLVM::ConstantOp::create(builder, op.getLoc(), e.i32, one.getStaticPosition().front());
          one.replaceAllUsesWith(LLVM::ExtractElementOp::create(builder, op.getLoc(), all, place).getResult());
          one.erase();
        }
      op.replaceAllUsesWith(all);
      op.erase();
    }
  }

  void runOnOperation() override {
    const Target *target = findTarget(targetName);
    if (!target) {
      getOperation().emitError() << "expects a known target, but got '" << targetName << "'";
      return signalPassFailure();
    }
    auto unpackAll = [&](auto kind, auto read) -> LogicalResult {
      SmallVector<decltype(kind)> work;
      getOperation().walk([&](decltype(kind) op) { work.push_back(op); });
      for (auto op : work) {
        auto block = cast<transformer::BlockType>(cast<MemRefType>(op.getBlocks().getType()).getElementType());
        if (block.getLayout() != target->layout)
          return op.emitOpError() << "expects blocks of the target's layout, but got " << block;
        ImplicitLocOpBuilder builder(op.getLoc(), op);
        Emitter e(builder, op.getLoc(), *target);
        op.replaceAllUsesWith(read(e, builder, block.getFormat(), e.pointer(op.getBlocks(), op.getIndices()), op));
        op.erase();
      }
      return success();
    };
    auto quad = [](Emitter &e, ImplicitLocOpBuilder &, const BlockFormat &format, Value block, tile::UnpackQuadOp op) {
      return QuadReader(e, format, block, op.getRow(), op.getQuad()).values();
    };
    auto halves = [](Emitter &e, ImplicitLocOpBuilder &b, const BlockFormat &format, Value block,
                     tile::UnpackHalvesOp op) {
      return HalfReader(e, b, format, block, op.getRow(), op.getQuad()).values();
    };
    if (failed(unpackAll(tile::UnpackQuadOp(), quad)) || failed(unpackAll(tile::UnpackHalvesOp(), halves)))
      return signalPassFailure();
    loadQuads(*target);
  }
};
} // namespace
} // namespace stepdown
