#include "test/device/KernelMutation.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Transforms/Utils/Cloning.h"

using namespace llvm;

namespace stepdown::test {
namespace {

/// Calls, and fences of memory order.
std::vector<Instruction *> calls(Module &module, const std::string &name) {
  std::vector<Instruction *> found;
  for (Instruction &instruction : instructions(*module.getFunction(name)))
    if (isa<FenceInst>(instruction) || (isa<CallInst>(instruction) && !isa<DbgInfoIntrinsic>(instruction)))
      found.push_back(&instruction);
  return found;
}

/// A wait for products that takes their sums' registers and gives them back.
bool handsBack(const Instruction &instruction) {
  auto *call = dyn_cast<CallInst>(&instruction);
  auto *assembly = call ? dyn_cast<InlineAsm>(call->getCalledOperand()) : nullptr;
  return assembly && StringRef(assembly->getAsmString()).starts_with("wgmma.wait_group");
}

/// That wait with `groups` in flight instead.
InlineAsm *waitFor(const InlineAsm &wait, int64_t groups) {
  return InlineAsm::get(wait.getFunctionType(), "wgmma.wait_group.sync.aligned " + std::to_string(groups) + ";",
                        wait.getConstraintString(), wait.hasSideEffects());
}

int64_t groupsOf(const InlineAsm &wait) {
  int64_t groups = 0;
  StringRef(wait.getAsmString()).rsplit(' ').second.rtrim(';').getAsInteger(10, groups);
  return groups;
}

/// The name without "llvm.nvvm.", or that of inline PTX; "fence. release".
std::string nameOf(const Instruction &instruction) {
  if (auto *fence = dyn_cast<FenceInst>(&instruction))
    return std::string("fence. ") + toIRString(fence->getOrdering());
  auto &call = cast<CallInst>(instruction);
  if (call.isInlineAsm())
    return handsBack(call) ? "wgmma.wait_group.sync.aligned" : "wgmma.mma_async";
  StringRef name = call.getCalledFunction() ? call.getCalledFunction()->getName() : "";
  name.consume_front("llvm.nvvm.");
  return name.str();
}

bool synchronises(const std::string &name) {
  for (const char *prefix :
       {"barrier.", "bar.", "mbarrier.", "fence.", "wgmma.fence", "wgmma.commit", "wgmma.wait", "cp.async.bulk.commit",
        "cp.async.bulk.wait", "cp.async.commit", "cp.async.wait", "setmaxnreg", "llvm.amdgcn.s.barrier"})
    if (StringRef(name).starts_with(prefix))
      return true;
  return false;
}

constexpr StringLiteral kWide = ".scope.cluster.", kNarrow = ".scope.cta.";

/// What may not change places without changing what is ordered.
bool ordered(const Instruction &instruction) {
  auto *call = dyn_cast<CallInst>(&instruction);
  StringRef name = call && call->getCalledFunction() ? call->getCalledFunction()->getName() : "";
  if (name.starts_with("llvm.amdgcn.")) // numbers, and buffers of global memory
    return name == "llvm.amdgcn.s.barrier";
  return instruction.mayReadOrWriteMemory() || call;
}

} // namespace

std::vector<Mutation> mutations(Module &module, const std::string &name) {
  std::vector<Mutation> made;
  const std::vector<Instruction *> all = calls(module, name);
  for (unsigned i = 0; i < all.size(); ++i) {
    const std::string operation = nameOf(*all[i]);
    if (!synchronises(operation))
      continue;
    const DebugLoc &loc = all[i]->getDebugLoc();
    const std::string head = "line " + std::to_string(loc ? loc.getLine() : 0) + " " + operation + ": ";
    made.push_back({Mutation::Delete, i, 0, 0, head + "deleted"});
    made.push_back({Mutation::MoveUp, i, 0, 0, head + "moved up"});
    made.push_back({Mutation::MoveDown, i, 0, 0, head + "moved down"});
    auto *call = dyn_cast<CallInst>(all[i]);
    if (!call)
      continue;
    if (handsBack(*call)) {
      for (int64_t difference : {1, -1})
        if (groupsOf(*cast<InlineAsm>(call->getCalledOperand())) + difference >= 0)
          made.push_back({Mutation::Alter, i, 0, difference, head + "operand 0 " + (difference > 0 ? "+1" : "-1")});
      continue;
    }
    if (StringRef(operation).contains(kWide))
      made.push_back({Mutation::Narrow, i, 0, 0, head + "of its own block"});
    const bool waits = StringRef(operation).contains("wait.parity");
    for (unsigned operand = 0; operand < call->arg_size(); ++operand) {
      Value *value = call->getArgOperand(operand);
      if (waits && operand == 1)
        made.push_back({Mutation::Alter, i, operand, 0, head + "parity flipped"});
      else if (isa<ConstantInt>(value) && !value->getType()->isIntegerTy(1)) {
        const bool bytes = StringRef(operation).contains("expect"),
                   threads = StringRef(operation).ends_with("count") && operand == 1;
        const int64_t step = bytes ? 16 : threads ? 32 : 1;
        for (int64_t difference : {step, -step})
          if (cast<ConstantInt>(value)->getSExtValue() + difference >= 0)
            made.push_back({Mutation::Alter, i, operand, difference,
                            head + "operand " + std::to_string(operand) + (difference > 0 ? " +" : " ") +
                                std::to_string(difference)});
      }
    }
  }
  return made;
}

std::unique_ptr<Module> mutate(const Module &module, const std::string &name, const Mutation &mutation) {
  std::unique_ptr<Module> copy = CloneModule(module);
  Instruction *at = calls(*copy, name)[mutation.call];
  auto *call = dyn_cast<CallInst>(at); // null: a fence, which has neither results nor numbers
  switch (mutation.kind) {
  case Mutation::Keep:
    break;
  case Mutation::Delete:
    if (call && handsBack(*call)) // the registers, not waited for
      for (User *user : make_early_inc_range(call->users())) {
        auto *part = cast<ExtractValueInst>(user);
        part->replaceAllUsesWith(call->getArgOperand(part->getIndices()[0]));
        part->eraseFromParent();
      }
    else if (call && !call->getType()->isVoidTy()) // a wait has ended, at once
      call->replaceAllUsesWith(call->getType()->isIntegerTy()
                                   ? Constant::getAllOnesValue(call->getType())
                                   : static_cast<Value *>(PoisonValue::get(call->getType())));
    at->eraseFromParent();
    break;
  case Mutation::MoveUp: {
    Instruction *before = at->getPrevNode();
    while (before && !ordered(*before))
      before = before->getPrevNode();
    if (!before || isa<PHINode>(before))
      return nullptr;
    at->moveBefore(before->getIterator());
    break;
  }
  case Mutation::MoveDown: {
    Instruction *after = at->getNextNode();
    while (after && !after->isTerminator() && !ordered(*after))
      after = after->getNextNode();
    if (!after || after->isTerminator())
      return nullptr;
    at->moveAfter(after);
    break;
  }
  case Mutation::Alter: {
    if (handsBack(*call)) {
      auto *wait = cast<InlineAsm>(call->getCalledOperand());
      call->setCalledOperand(waitFor(*wait, groupsOf(*wait) + mutation.difference));
      break;
    }
    Value *value = call->getArgOperand(mutation.operand);
    if (mutation.difference)
      call->setArgOperand(
          mutation.operand,
          ConstantInt::get(value->getType(), cast<ConstantInt>(value)->getSExtValue() + mutation.difference));
    else
      call->setArgOperand(mutation.operand, BinaryOperator::CreateXor(value, ConstantInt::get(value->getType(), 1), "",
                                                                      call->getIterator()));
    break;
  }
  case Mutation::Narrow: {
    std::string narrow = call->getCalledFunction()->getName().str();
    narrow.replace(narrow.find(kWide), kWide.size(), kNarrow);
    call->setCalledFunction(copy->getOrInsertFunction(narrow, call->getFunctionType()));
    break;
  }
  }
  if (verifyModule(*copy)) // an operand would be used before it is made, or a number is out of its range
    return nullptr;
  return copy;
}

} // namespace stepdown::test
