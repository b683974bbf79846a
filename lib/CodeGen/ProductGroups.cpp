#include "lib/CodeGen/ProductGroups.h"
#include "lib/CodeGen/EmulatedOperations.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/IntrinsicsAMDGPU.h"

using namespace llvm;

namespace stepdown {

bool isLanesProduct(const CallInst &call) {
  const Function *callee = call.getCalledFunction();
  const StringRef name = callee ? callee->getName() : "";
  return name.starts_with("llvm.amdgcn.mfma.") || name.starts_with("llvm.amdgcn.wmma.") ||
         name.starts_with("llvm.nvvm.mma.m16n8");
}

/// Whether nothing of `call` is left in code of the host but, of a hint, that it was there.
static bool isWithoutFrame(const CallInst &call) {
  if (isa<DbgInfoIntrinsic>(call) || call.getIntrinsicID() == Intrinsic::amdgcn_make_buffer_rsrc)
    return true;
  const Function *callee = call.getCalledFunction();
  StringRef name = callee ? callee->getName() : "";
  if (!name.consume_front("llvm.nvvm.") && !(name.starts_with("llvm.amdgcn.") && name.consume_front("llvm.")))
    return false;
  auto operation = emulatedOperation(name);
  return operation && operation->kind == STEPDOWN_EMULATED_hint;
}

bool areFollowed(ArrayRef<CallInst *> products) {
  if (products.size() >= kMostTogether)
    return false;
  for (const Instruction *at = products.back()->getNextNode(); at; at = at->getNextNode()) {
    for (const Value *operand : at->operands())
      if (is_contained(products, operand))
        return false;
    auto *call = dyn_cast<CallInst>(at);
    if (call && isLanesProduct(*call))
      return true;
    if (isa<FenceInst, FPTruncInst, AtomicRMWInst, AtomicCmpXchgInst>(at) || (call && !isWithoutFrame(*call)))
      return false;
  }
  return false;
}

} // namespace stepdown
