// A check that fails must not end the program that made the call: the text's address goes into the call's record.
#include "dialects/Transformer/IR/TransformerDialect.h"
#include "include/stepdown/Artifact.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "passes/CPU/Operands.h"
#include "passes/CPU/Passes.h"
#include "llvm/ADT/StringMap.h"
#include <cstddef>

using namespace mlir;

namespace stepdown {
#define GEN_PASS_DEF_LOWERASSERTIONS
#include "passes/CPU/Passes.h.inc"

namespace {
struct LowerAssertions : impl::LowerAssertionsBase<LowerAssertions> {
  llvm::StringMap<LLVM::GlobalOp> texts;

  /// "sizes differ (program.mlir:3:5)"
  static std::string textOf(cf::AssertOp op) {
    std::string text = op.getMsg().str();
    if (auto file = op.getLoc()->findInstanceOf<FileLineColLoc>())
      text += (" (" + file.getFilename().getValue() + ":" + Twine(file.getLine()) + ":" + Twine(file.getColumn()) + ")")
                  .str();
    return text;
  }

  LLVM::GlobalOp constantOf(const std::string &text) {
    LLVM::GlobalOp &global = texts[text];
    if (!global) {
      OpBuilder b = OpBuilder::atBlockBegin(getOperation().getBody());
      StringRef bytes(text.c_str(), text.size() + 1);
      auto type = LLVM::LLVMArrayType::get(b.getI8Type(), bytes.size());
      global = LLVM::GlobalOp::create(b, getOperation().getLoc(), type, /*isConstant=*/true, LLVM::Linkage::Internal,
                                      "check_" + std::to_string(texts.size() - 1), b.getStringAttr(bytes));
    }
    return global;
  }

  void lower(func::FuncOp function) {
    Value operands = function.getArgument(0);
    Type ptr = operands.getType(), i64 = IntegerType::get(&getContext(), 64);
    SmallVector<cf::AssertOp> work;
    function.walk([&](cf::AssertOp op) { work.push_back(op); });
    llvm::StringMap<Block *> failed; // by text
    for (cf::AssertOp op : work) {
      const bool tooLarge = op.getMsg() == transformer::kTooLargeCheck, device = op.getMsg() == kDeviceCheck;
      const bool coded = op.getMsg() == kArenaCheck || tooLarge || device; // a number, not the address of a text
      const std::string text = coded ? op.getMsg().str() : textOf(op);
      Block *&target = failed[text];
      if (!target) {
        LLVM::GlobalOp constant = coded ? LLVM::GlobalOp() : constantOf(text);
        OpBuilder b(&getContext());
        Location loc = op.getLoc();
        target = b.createBlock(&function.getBody(), function.getBody().end());
        Value call = loadOperand(b, loc, ptr, operands, 0), failure;
        Value all = LLVM::ConstantOp::create(b, loc, i64, b.getI64IntegerAttr(-1));
        if (tooLarge)
          LLVM::StoreOp::create(b, loc, all, operandPlace(b, loc, call, offsetof(stepdown_call, wanted) / 8));
        if (device)
          all = LLVM::ConstantOp::create(b, loc, i64, b.getI64IntegerAttr(-2));
        failure =
            coded ? all : Value(LLVM::PtrToIntOp::create(b, loc, i64, LLVM::AddressOfOp::create(b, loc, constant)));
        LLVM::StoreOp::create(b, loc, failure, operandPlace(b, loc, call, offsetof(stepdown_call, failure) / 8));
        func::ReturnOp::create(b, loc);
      }
      Block *block = op->getBlock(), *next = block->splitBlock(op);
      OpBuilder b = OpBuilder::atBlockEnd(block);
      cf::CondBranchOp::create(b, op.getLoc(), op.getArg(), next, ValueRange(), target, ValueRange());
      op.erase();
    }
  }

  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (!function.isExternal())
        lower(function);
  }
};
} // namespace
} // namespace stepdown
