// Products are chains of wgmma on descriptors of shared memory: one fence, an instruction for each 32 bytes of the
// reduction and each part of the sum, one commit. The first product of a sum does not read what its registers held
// (scale-d is zero): zeros written by moves, with a product in flight, would make ptxas wait for each (C7515).
// The wait that makes a vector of a sum takes its registers and gives them back, so that nothing that computes with
// them can be moved in front of it.
//
// A sum m64nN lies in registers so: thread t of the warpgroup, lane l of warp w, has in register i row
// 16 w + l / 4 + 8 (i / 2 mod 2), column 8 (i / 4) + 2 (l mod 4) + i mod 2 (PTX ISA, wgmma D fragment).
#include "lib/Kernels/ChipLimits.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "passes/NVIDIA/KernelEmitter.h"
#include "passes/NVIDIA/SharedLayout.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::nvidia {

static constexpr int64_t kReductionBytes = 32; // of the reduction that an instruction takes

static NVVM::WGMMATypes instructionType(Type element) {
  return llvm::TypeSwitch<Type, NVVM::WGMMATypes>(element)
      .Case([](BFloat16Type) { return NVVM::WGMMATypes::bf16; })
      .Case([](Float16Type) { return NVVM::WGMMATypes::f16; })
      .Case([](Float8E4M3FNType) { return NVVM::WGMMATypes::e4m3; })
      .Case([](Float8E5M2Type) { return NVVM::WGMMATypes::e5m2; })
      .Default([](Type) { return NVVM::WGMMATypes::s8; });
}

/// Where shared memory begins, as descriptors have it: 14 bits, in units of 16 bytes.
Value KernelEmitter::descriptorAddress() {
  return binary("arith.andi", binary("arith.shrui", address, i32(4)), i32(0x3fff));
}

/// A descriptor is a number of 64 bits of which the lower 32 alone are added to. Where the base is one that the
/// assembler knows, it makes both halves anew for each instruction; after a reduction over the warp it knows nothing,
/// and adds to the whole in a uniform register.
void KernelEmitter::prepareDescriptors() {
  auto hidden = [&](Value value) -> Value {
    Value all = LLVM::CallIntrinsicOp::create(b, b.getI32Type(), b.getStringAttr("llvm.nvvm.redux.sync.umin"),
                                              ValueRange{value, i32(-1)})
                    .getResult(0);
    return arith::ExtUIOp::create(b, b.getI64Type(), all);
  };
  Value low = hidden(descriptorAddress()), high = hidden(i32(int32_t(kDescriptorBits >> 32)));
  matrixBase = binary("arith.ori", low, binary("arith.shli", high, i64(32)));
}

Value KernelEmitter::descriptor(Value tile, bool transposed, Value across) {
  auto type = cast<MemRefType>(tile.getType());
  const TileView &view = tiles[tile];
  auto wide = [&](Value value) -> Value { return arith::ExtUIOp::create(b, b.getI64Type(), value); };
  const int64_t fixed = view.offset / 16 + leadingBits(type, transposed);
  Value made = matrixBase;
  if (!rounds.empty()) // what does not change in the loop is in registers: half of it as little as possible
    made = add(wide(descriptorAddress()), i64(kDescriptorBits));
  made = add(made, multiply(wide(view.slot), i64(view.slotBytes / 16)));
  if (across)
    made = add(made, wide(across));
  return add(made, i64(fixed));
}

/// nvvm has no product with its first operand in registers.
Value KernelEmitter::multiplyRegisters(ArrayRef<Value> a, Value descriptorB, Value sum, Type element, int64_t columns,
                                       bool adds, bool rowsOfB) {
  auto type = cast<LLVM::LLVMStructType>(sum.getType());
  const size_t count = type.getBody().size();
  const std::string name = element.isBF16() ? "bf16" : "f16";
  std::string registers, constraints, ties;
  SmallVector<Value> operands;
  for (size_t i = 0; i < count; ++i) {
    registers += (i ? ", $" : "$") + std::to_string(i);
    constraints += "=f,";
    ties += std::to_string(i) + ",";
    operands.push_back(LLVM::ExtractValueOp::create(b, sum, ArrayRef<int64_t>{int64_t(i)}));
  }
  auto place = [&](size_t i) { return "$" + std::to_string(2 * count + i); };
  const std::string text = "{ .reg .pred p; setp.ne.b32 p, " + place(5) + ", 0; wgmma.mma_async.sync.aligned.m64n" +
                           std::to_string(columns) + "k16.f32." + name + "." + name + " {" + registers + "}, {" +
                           place(0) + ", " + place(1) + ", " + place(2) + ", " + place(3) + "}, " + place(4) +
                           ", p, 1, 1, " + (rowsOfB ? "1" : "0") + "; }";
  llvm::append_range(operands, a);
  operands.push_back(descriptorB);
  operands.push_back(i32(adds));
  return LLVM::InlineAsmOp::create(b, type, operands, text, constraints + ties + "r,r,r,r,l,n",
                                   /*has_side_effects=*/true,
                                   /*is_align_stack=*/false, LLVM::TailCallKind::None,
                                   LLVM::AsmDialectAttr::get(b.getContext(), LLVM::AsmDialect::AD_ATT), ArrayAttr())
      .getResult(0);
}

void KernelEmitter::multiply(MmaOp op) {
  const ShapedType a = op.getShapeOfA();
  const MemRefType bType = op.getB().getType();
  const RegisterTile sum(op.getType().getSum(), role);
  const bool rowsOfB = !op.getTransposeB(); // b is [K, N]: the matrix unit runs along its rows
  MLIRContext *context = b.getContext();
  const bool integers = a.getElementType().isInteger();
  const auto element = NVVM::WGMMATypesAttr::get(context, instructionType(a.getElementType())),
             sums = NVVM::WGMMATypesAttr::get(context, integers ? NVVM::WGMMATypes::s32 : NVVM::WGMMATypes::f32);
  // Sums of integers are modulo 2^32, as those of the text.
  const auto overflow =
      integers ? NVVM::MMAIntOverflowAttr::get(context, NVVM::MMAIntOverflow::wrapped) : NVVM::MMAIntOverflowAttr();
  const int64_t reduction = kReductionBytes * 8 / a.getElementTypeBitWidth();
  const auto one = NVVM::WGMMAScaleInAttr::get(context, NVVM::WGMMAScaleIn::one);
  auto layout = [&](bool row) {
    return NVVM::MMALayoutAttr::get(context, row ? NVVM::MMALayout::row : NVVM::MMALayout::col);
  };

  auto shared = dyn_cast<MemRefType>(op.getA().getType());
  Value descriptorA;
  if (shared)
    descriptorA = descriptor(op.getA(), false, multiply(warpgroup, i32(acrossOffset(shared, false, sum.rows) / 16)));
  Value descriptorB = descriptor(op.getB(), rowsOfB);
  SmallVector<Value> made;
  const SmallVector<Value> held = op.getAcc() ? lookup(op.getAcc()) : SmallVector<Value>();
  if (op.getAcc() && isa<AccumulatorType>(op.getAcc().getType()))
    made = held;
  else
    for (Type type : convert(op.getType()))
      made.push_back(LLVM::UndefOp::create(b, type));
  if (op.getAcc() && isa<VectorType>(op.getAcc().getType()))
    for (auto [i, each] : llvm::enumerate(held)) {
      Value &part = made[i / (sum.columns / 2)];
      part = LLVM::InsertValueOp::create(b, part, each, ArrayRef<int64_t>{int64_t(i) % (sum.columns / 2)});
    }
  NVVM::WgmmaFenceAlignedOp::create(b);
  for (int64_t k = 0; k < a.getDimSize(1); k += reduction) {
    const bool adds = k != 0 || op.getAcc();
    const auto scale =
        NVVM::WGMMAScaleOutAttr::get(context, adds ? NVVM::WGMMAScaleOut::one : NVVM::WGMMAScaleOut::zero);
    for (int64_t m = 0; m < sum.rows / 64; ++m)
      for (int64_t n = 0; n < sum.parts; ++n) {
        Value &part = made[m * sum.parts + n];
        const int64_t offsetB = reductionOffset(bType, rowsOfB, k) + acrossOffset(bType, rowsOfB, sum.columns * n);
        Value from = add(descriptorB, i64(offsetB / 16));
        if (!shared) { // 8 elements of a thread in four registers are 16 columns
          const SmallVector<Value> pairs = lookup(op.getA());
          part = multiplyRegisters(ArrayRef<Value>(pairs).slice((m * a.getDimSize(1) + k) / 4, 4), from, part,
                                   a.getElementType(), sum.columns, adds, rowsOfB);
          continue;
        }
        const int64_t offsetA = reductionOffset(shared, false, k) + acrossOffset(shared, false, 64 * m);
        part = NVVM::WgmmaMmaAsyncOp::create(b, part.getType(), part, add(descriptorA, i64(offsetA / 16)), from,
                                             NVVM::MMAShapeAttr::get(context, 64, sum.columns, reduction), element,
                                             element, sums, scale, one, one, layout(true), layout(rowsOfB), overflow);
      }
  }
  NVVM::WgmmaGroupSyncAlignedOp::create(b);
  map(op.getResult(), made);
}

/// ptxas moves a wait for products in front of arithmetic that does not need them, which then no longer runs under
/// them, but not over a branch. This one is taken where a sum of what `tiles` hold is no number, and then does nothing.
void KernelEmitter::computeBefore(ValueRange tiles) {
  SmallVector<Value> numbers;
  for (Value tile : tiles)
    llvm::append_range(numbers, lookup(tile));
  if (numbers.empty())
    return;
  if (numbers.size() % 2)
    numbers.push_back(numbers.back());
  Value none;
  for (size_t i = 0; i < numbers.size(); i += 2) {
    Value either = arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, numbers[i], numbers[i + 1]);
    none = none ? binary("arith.ori", none, either) : either;
  }
  Value never = arith::ConstantOp::create(b, b.getBoolAttr(false));
  Value taken = LLVM::ExpectOp::create(b, none, never);
  auto branch = scf::IfOp::create(b, taken, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(branch.thenBlock()->getTerminator());
  NVVM::NanosleepOp::create(b, i32(0));
}

void KernelEmitter::wait(MmaWaitOp op) {
  computeBefore(op.getAfter());
  SmallVector<Value> registers;
  for (Value sum : op.getSums())
    for (Value part : lookup(sum)) {
      const int64_t count = cast<LLVM::LLVMStructType>(part.getType()).getBody().size();
      for (int64_t i = 0; i < count; ++i)
        registers.push_back(LLVM::ExtractValueOp::create(b, part, ArrayRef<int64_t>{i}));
    }
  if (registers.empty()) {
    NVVM::WgmmaWaitGroupSyncOp::create(b, b.getI64IntegerAttr(op.getPending()));
    return;
  }
  std::string constraints, ties;
  SmallVector<Type> types;
  for (auto [i, each] : llvm::enumerate(registers)) {
    constraints += each.getType().isInteger() ? "=r," : "=f,";
    ties += (i ? "," : "") + std::to_string(i);
    types.push_back(each.getType());
  }
  auto all = LLVM::LLVMStructType::getLiteral(b.getContext(), types);
  Value waited = LLVM::InlineAsmOp::create(
                     b, all, registers, "wgmma.wait_group.sync.aligned " + std::to_string(op.getPending()) + ";",
                     constraints + ties, /*has_side_effects=*/true, /*is_align_stack=*/false, LLVM::TailCallKind::None,
                     LLVM::AsmDialectAttr::get(b.getContext(), LLVM::AsmDialect::AD_ATT), ArrayAttr())
                     .getResult(0);
  int64_t next = 0;
  for (Value vector : op.getVectors()) {
    SmallVector<Value> held;
    for (size_t i = convert(vector.getType()).size(); i != 0; --i)
      held.push_back(LLVM::ExtractValueOp::create(b, waited, ArrayRef<int64_t>{next++}));
    map(vector, held);
  }
}

} // namespace stepdown::nvidia
