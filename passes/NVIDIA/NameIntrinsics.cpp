// convert-gpu-to-nvvm takes every operation of math for a call of NVIDIA's libdevice, which we do not link, and LLVM's
// own operations of the same names for mistakes. What math has left here is an instruction each, by LLVM's name.
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "passes/NVIDIA/Passes.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace stepdown {
#define GEN_PASS_DEF_NAMEINTRINSICS
#include "passes/NVIDIA/Passes.h.inc"

namespace {

StringRef intrinsicOf(Operation *op) {
  return llvm::TypeSwitch<Operation *, StringRef>(op)
      .Case([](arith::MaximumFOp) { return "llvm.maximum"; })
      .Case([](arith::MaxNumFOp) { return "llvm.maxnum"; })
      .Case([](arith::MinimumFOp) { return "llvm.minimum"; })
      .Case([](arith::MinNumFOp) { return "llvm.minnum"; })
      .Case([](math::AbsFOp) { return "llvm.fabs"; })
      .Case([](math::AbsIOp) { return "llvm.abs"; })
      .Case([](math::CeilOp) { return "llvm.ceil"; })
      .Case([](math::CopySignOp) { return "llvm.copysign"; })
      .Case([](math::CountLeadingZerosOp) { return "llvm.ctlz"; })
      .Case([](math::CountTrailingZerosOp) { return "llvm.cttz"; })
      .Case([](math::CtPopOp) { return "llvm.ctpop"; })
      .Case([](math::FloorOp) { return "llvm.floor"; })
      .Case([](math::FmaOp) { return "llvm.fma"; })
      .Case([](math::RoundOp) { return "llvm.round"; })
      .Case([](math::RoundEvenOp) { return "llvm.roundeven"; })
      .Case([](math::SqrtOp) { return "llvm.sqrt"; })
      .Case([](math::TruncOp) { return "llvm.trunc"; })
      .Default([](Operation *) { return StringRef(); });
}

struct NameIntrinsics : impl::NameIntrinsicsBase<NameIntrinsics> {
  void runOnOperation() override {
    SmallVector<Operation *> work;
    getOperation()->walk([&](Operation *op) {
      if (!intrinsicOf(op).empty())
        work.push_back(op);
    });
    for (Operation *op : work) {
      OpBuilder b(op);
      SmallVector<Value> operands(op->getOperands());
      Type type = op->getResult(0).getType(), number = type.isIndex() ? b.getI64Type() : type;
      for (Value &operand : operands)
        if (operand.getType().isIndex())
          operand = arith::IndexCastOp::create(b, op->getLoc(), number, operand);
      if (isa<math::AbsIOp, math::CountLeadingZerosOp, math::CountTrailingZerosOp>(
              op)) // zero and the least have a result
        operands.push_back(LLVM::ConstantOp::create(b, op->getLoc(), b.getI1Type(), b.getBoolAttr(false)));
      auto call = LLVM::CallIntrinsicOp::create(b, op->getLoc(), number, b.getStringAttr(intrinsicOf(op)), operands);
      Value result = call->getResult(0);
      if (type != number)
        result = arith::IndexCastOp::create(b, op->getLoc(), type, result);
      op->getResult(0).replaceAllUsesWith(result);
      op->erase();
    }
  }
};
} // namespace
} // namespace stepdown
