#include "passes/Vector/Emitter.h"
#include "dialects/Tile/IR/TileOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace stepdown {

Emitter::Emitter(OpBuilder &builder, Location loc, const Target &target)
    : b(builder), loc(loc), target(target), layout(*target.layout), lanes(layout.rows) {
  i8 = b.getI8Type(), i16 = b.getI16Type(), i32 = b.getI32Type(), i64 = b.getI64Type();
  f16 = b.getF16Type(), f32 = b.getF32Type(), index = b.getIndexType();
  ptr = LLVM::LLVMPointerType::get(b.getContext());
}

Value Emitter::number(int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); }

Value Emitter::splat(Type type, double value) {
  Type element = getElementTypeOrSelf(type);
  TypedAttr attr = isa<FloatType>(element) ? TypedAttr(b.getFloatAttr(element, value))
                                           : TypedAttr(b.getIntegerAttr(element, static_cast<int64_t>(value)));
  if (auto vector = dyn_cast<VectorType>(type))
    attr = DenseElementsAttr::get(vector, Attribute(attr));
  return arith::ConstantOp::create(b, loc, attr);
}

Value Emitter::bytes64(ArrayRef<uint8_t> sixteen) {
  SmallVector<int8_t> all;
  for (int i = 0; i < 4; ++i)
    for (uint8_t byte : sixteen)
      all.push_back(static_cast<int8_t>(byte));
  return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(vec(i8, 64), ArrayRef<int8_t>(all)));
}

Value Emitter::dim(Value memref, int64_t which) { return memref::DimOp::create(b, loc, memref, which); }

Value Emitter::pointer(Value memref, ValueRange indices) {
  return tile::BlockPtrOp::create(b, loc, ptr, memref, indices);
}

Value Emitter::at(Value pointer, int64_t offset) {
  if (offset == 0)
    return pointer;
  return LLVM::GEPOp::create(b, loc, ptr, i8, pointer, ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(offset)});
}

Value Emitter::at(Value pointer, Value offset, int64_t scale) {
  if (scale != 1)
    offset = arith::MulIOp::create(b, loc, offset, number(scale));
  return LLVM::GEPOp::create(b, loc, ptr, i8, pointer, ArrayRef<LLVM::GEPArg>{cast(offset, i64)});
}

Value Emitter::scratch(int64_t size) {
  OpBuilder::InsertionGuard guard(b);
  auto function = b.getInsertionBlock()->getParentOp()->getParentOfType<func::FuncOp>();
  if (!function)
    function = mlir::cast<func::FuncOp>(b.getInsertionBlock()->getParentOp());
  b.setInsertionPointToStart(&function.getBody().front());
  Value one = LLVM::ConstantOp::create(b, loc, i64, b.getI64IntegerAttr(1));
  return LLVM::AllocaOp::create(b, loc, ptr, LLVM::LLVMArrayType::get(i8, size), one, 64);
}

Value Emitter::load(Type type, Value pointer) {
  unsigned align = getElementTypeOrSelf(type).getIntOrFloatBitWidth() / 8;
  return LLVM::LoadOp::create(b, loc, type, pointer, align);
}

void Emitter::store(Value value, Value pointer) {
  unsigned align = getElementTypeOrSelf(value.getType()).getIntOrFloatBitWidth() / 8;
  LLVM::StoreOp::create(b, loc, value, pointer, align);
}

void Emitter::prefetch(Value pointer, bool nearest) { LLVM::Prefetch::create(b, loc, pointer, 0, nearest ? 3 : 2, 1); }

Value Emitter::spread(Value scalar, int64_t lanes) {
  return vector::BroadcastOp::create(b, loc, vec(scalar.getType(), lanes), scalar);
}

static bool isFloat(Value v) { return isa<FloatType>(getElementTypeOrSelf(v.getType())); }

Value Emitter::add(Value a, Value c) {
  return isFloat(a) ? Value(arith::AddFOp::create(b, loc, a, c)) : Value(arith::AddIOp::create(b, loc, a, c));
}
Value Emitter::sub(Value a, Value c) {
  return isFloat(a) ? Value(arith::SubFOp::create(b, loc, a, c)) : Value(arith::SubIOp::create(b, loc, a, c));
}
Value Emitter::mul(Value a, Value c) {
  return isFloat(a) ? Value(arith::MulFOp::create(b, loc, a, c)) : Value(arith::MulIOp::create(b, loc, a, c));
}
Value Emitter::fma(Value a, Value c, Value d) { return math::FmaOp::create(b, loc, a, c, d); }

Value Emitter::max(Value a, Value c) { return select(less(a, c), c, a); }

Value Emitter::toF32(Value v) {
  Type type = f32;
  if (auto vector = dyn_cast<VectorType>(v.getType()))
    type = vec(f32, vector.getNumElements());
  if (isFloat(v))
    return v.getType() == type ? v : Value(arith::ExtFOp::create(b, loc, type, v));
  return arith::SIToFPOp::create(b, loc, type, v);
}

Value Emitter::bitcast(Value v, Type type) {
  if (v.getType() == type)
    return v;
  if (isa<VectorType>(type) && isa<VectorType>(v.getType()))
    return vector::BitCastOp::create(b, loc, mlir::cast<VectorType>(type), v);
  return arith::BitcastOp::create(b, loc, type, v);
}

Value Emitter::cast(Value v, Type type) {
  if (v.getType() == type)
    return v;
  return arith::IndexCastOp::create(b, loc, type, v);
}

Value Emitter::sumLanes(Value v) { return vector::ReductionOp::create(b, loc, vector::CombiningKind::ADD, v); }
Value Emitter::maxLanes(Value v) {
  return vector::ReductionOp::create(b, loc, isFloat(v) ? vector::CombiningKind::MAXNUMF : vector::CombiningKind::MAXSI,
                                     v);
}

Value Emitter::any(Value lanes) {
  Value bits = LLVM::BitcastOp::create(b, loc, i16, lanes);
  return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, bits, splat(i16, 0));
}

Value Emitter::hide(Value pointer) {
  return LLVM::InlineAsmOp::create(b, loc, TypeRange{ptr}, ValueRange{pointer}, b.getStringAttr(""),
                                   b.getStringAttr("=r,0"), /*has_side_effects=*/b.getUnitAttr(), nullptr,
                                   LLVM::TailCallKindAttr::get(b.getContext(), LLVM::TailCallKind::None), nullptr,
                                   nullptr)
      .getResult(0);
}

void Emitter::when(Value condition, function_ref<void()> body) {
  auto branch = scf::IfOp::create(b, loc, condition, false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  body();
}

Value Emitter::select(Value condition, Value a, Value c) { return arith::SelectOp::create(b, loc, condition, a, c); }

Value Emitter::less(Value a, Value c) {
  if (isFloat(a))
    return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT, a, c);
  return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, a, c);
}

Value Emitter::addI(Value a, int64_t c) { return c == 0 ? a : Value(arith::AddIOp::create(b, loc, a, number(c))); }

Emitter::Values Emitter::loop(Value lower, Value upper, int64_t step, ValueRange carried,
                              function_ref<Values(Value, ValueRange)> body) {
  auto op = scf::ForOp::create(b, loc, lower, upper, number(step), carried);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(op.getBody());
  Values next = body(op.getInductionVar(), op.getRegionIterArgs());
  b.setInsertionPointToEnd(op.getBody());
  if (op.getBody()->empty() || !op.getBody()->back().hasTrait<OpTrait::IsTerminator>())
    scf::YieldOp::create(b, loc, next);
  return Values(op.getResults());
}

void Emitter::loop(Value upper, function_ref<void(Value)> body) {
  loop(number(0), upper, 1, {}, [&](Value i, ValueRange) {
    body(i);
    return Values();
  });
}

Value Emitter::intrinsic(StringRef name, Type result, ValueRange operands) {
  return LLVM::CallIntrinsicOp::create(b, loc, result, b.getStringAttr(name), operands).getResult(0);
}

Value Emitter::part(Value v, int64_t lanes, int64_t which) {
  if (mlir::cast<VectorType>(v.getType()).getNumElements() == lanes)
    return v;
  return vector::ShuffleOp::create(b, loc, v, v, llvm::to_vector(llvm::seq(which * lanes, (which + 1) * lanes)));
}

Value Emitter::join(ArrayRef<Value> parts) {
  if (parts.size() == 1)
    return parts[0];
  Value low = join(parts.take_front(parts.size() / 2)), high = join(parts.drop_front(parts.size() / 2));
  const int64_t lanes = 2 * mlir::cast<VectorType>(low.getType()).getNumElements();
  return vector::ShuffleOp::create(b, loc, low, high, llvm::to_vector(llvm::seq<int64_t>(0, lanes)));
}

Value Emitter::dotQuads(ArrayRef<Value> w, ArrayRef<Value> a, int maxCode, Value start, Value factor) {
  QuadSum sum(*this, maxCode, w.size(), start, factor);
  for (auto [codes, activations] : llvm::zip(w, a))
    sum.add(codes, activations);
  return sum.finish();
}

// vpdpbusd is four products and a sum an instruction, of unsigned codes; sdot is that of signed ones, which have no
// room for codes over 127. AVX2 has vpmaddubsw, which saturates pairs at 16 bits: codes are summed in 16 bits as long
// as no sum can saturate. Of codes with a sign it takes the magnitude, and activations of that sign: two products are
// 2 * 128 * 127 at most.
QuadSum::QuadSum(Emitter &emitter, int maxCode, size_t quads, Value start, Value factor)
    : e(emitter), lanes(e.vec(e.i32, e.registerLanes())), isLess(takesLess(e.target, maxCode)), sum(start),
      factor(factor) {
  if (e.target.instructions.pairs) {
    assert(!(start && factor) && "expects no start that pairs' factor does not multiply");
    run = 32767 / ((isLess ? 128 : maxCode) * 254);
  } else {
    // Two sums: one alone would wait for its own last product, four tokens in flight or not.
    run = quads >= 8 ? quads / 2 : quads;
    current = start ? start : e.splat(lanes, 0);
    sum = Value();
  }
}

bool QuadSum::takesLess(const Target &target, int maxCode) {
  const Instructions &has = target.instructions;
  return has.pairs ? maxCode * 254 > 32767 : has.signedCodes && maxCode > 127;
}

Value QuadSum::factorOf(Emitter &e, Value lanes) {
  if (!e.target.instructions.pairs)
    return lanes;
  Value low = arith::AndIOp::create(e.b, e.loc, lanes, e.splat(lanes.getType(), 0xffff));
  return arith::OrIOp::create(e.b, e.loc, e.shiftLeft(lanes, 16), low);
}

void QuadSum::add(Value w, Value a) {
  if (added == run)
    flush();
  ++added;
  const Instructions &has = e.target.instructions;
  const int64_t bytes = 4 * e.registerLanes();
  Value codes = e.bitcast(w, e.vec(e.i8, bytes)), activations = e.bitcast(a, e.vec(e.i8, bytes));
  if (!has.pairs) {
    if (!current)
      current = e.splat(lanes, 0);
    current = e.intrinsic(has.dot, lanes, {current, codes, activations});
    return;
  }
  if (isLess) {
    activations = e.sign(activations, codes);
    codes = math::AbsIOp::create(e.b, e.loc, codes);
  }
  Value product = e.intrinsic(has.dot, e.vec(e.i16, bytes / 2), {codes, activations});
  current = current ? e.add(current, product) : product;
}

void QuadSum::flush() {
  if (const char *pairs = e.target.instructions.pairs) {
    Value factors = factor ? e.bitcast(factor, current.getType()) : e.splat(current.getType(), 1);
    current = e.intrinsic(pairs, lanes, {current, factors});
  }
  sum = sum ? e.add(sum, current) : current;
  current = Value();
  added = 0;
}

Value QuadSum::finish() {
  if (current)
    flush();
  return factor && !e.target.instructions.pairs ? e.mul(sum, factor) : sum;
}

Value Emitter::shiftLeft(Value v, int64_t bits) { return arith::ShLIOp::create(b, loc, v, splat(v.getType(), bits)); }

Value Emitter::sign(Value a, Value codes) {
  const VectorType bytes = vec(i8, 4 * registerLanes());
  Value turned = intrinsic("llvm.x86.avx2.psign.b", bytes, {bitcast(a, bytes), bitcast(codes, bytes)});
  return bitcast(turned, a.getType());
}

Value Emitter::lookUp(Value table, Value codes) {
  const int64_t count = 4 * mlir::cast<VectorType>(codes.getType()).getNumElements(), size = 4 * registerLanes();
  Value bytes = bitcast(codes, vec(i8, count));
  Values parts;
  for (int64_t i = 0; i < count / size; ++i)
    parts.push_back(intrinsic(target.instructions.lookUp, vec(i8, size), {part(table, size, i), part(bytes, size, i)}));
  return bitcast(join(parts), codes.getType());
}

// exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln 2 / 2: Cody-Waite reduction and a Taylor polynomial of degree 7.
Value Emitter::exp(Value x) {
  Type type = x.getType();
  bool isVector = isa<VectorType>(type);
  Type ints = isVector ? Type(vec(i32, mlir::cast<VectorType>(type).getNumElements())) : i32;
  auto constant = [&](double v) { return splat(type, v); };
  Value low = constant(-87.0), tiny = less(x, low);
  Value clamped = select(tiny, low, select(less(constant(88.0), x), constant(88.0), x));
  Value n = math::RoundEvenOp::create(b, loc, mul(clamped, constant(1.44269504088896340736)));
  Value r = fma(n, constant(-0.693145751953125), clamped);
  r = fma(n, constant(-1.42860682030941723212e-6), r);
  Value p = constant(1.0 / 5040);
  for (double c : {1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1.0, 1.0})
    p = fma(p, r, constant(c));
  Value exponent =
      arith::ShLIOp::create(b, loc, add(arith::FPToSIOp::create(b, loc, ints, n), splat(ints, 127)), splat(ints, 23));
  return select(tiny, constant(0.0), mul(p, bitcast(exponent, type)));
}

Value Emitter::tanh(Value x) {
  Value one = splat(x.getType(), 1.0), two = splat(x.getType(), 2.0);
  Value e2 = add(exp(mul(x, two)), one);
  return sub(one, arith::DivFOp::create(b, loc, two, e2));
}

} // namespace stepdown
