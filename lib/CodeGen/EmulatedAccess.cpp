#include "lib/CodeGen/EmulatedAccess.h"
#include "llvm/Analysis/TargetTransformInfo.h"
#include "llvm/IR/Instructions.h"
#include "llvm/Transforms/Utils/LowerMemIntrinsics.h"

using namespace llvm;

namespace stepdown {

EmulatedAccess emulatedAccess(Instruction &at, bool amd) {
  EmulatedAccess access;
  uint64_t alignment = 1;
  if (auto *load = dyn_cast<LoadInst>(&at)) {
    access.operation.kind = STEPDOWN_EMULATED_load;
    alignment = load->getAlign().value();
  } else if (auto *store = dyn_cast<StoreInst>(&at)) {
    access.operation.kind = STEPDOWN_EMULATED_store;
    alignment = store->getAlign().value();
  } else {
    access.operation.kind = STEPDOWN_EMULATED_atomic;
  }
  const bool atomic = access.operation.kind == STEPDOWN_EMULATED_atomic,
             stores = access.operation.kind == STEPDOWN_EMULATED_store;
  access.operation.modifiers[0] = int32_t(alignment);
  access.pointer = atomic ? at.getOperand(0) : getLoadStorePointerOperand(&at);
  access.type = atomic ? at.getOperand(1)->getType() : getLoadStoreType(&at);
  const bool shared = access.pointer->getType()->getPointerAddressSpace() == 3;
  if (atomic)
    access.name = "atom";
  else if (amd)
    access.name = shared ? (stores ? "ds_write" : "ds_read") : (stores ? "global_store" : "global_load");
  else
    access.name = std::string(stores ? "st." : "ld.") + (shared ? "shared" : "global");
  return access;
}

bool expandMemory(MemIntrinsic *memory, const DataLayout &layout) {
  if (auto *set = dyn_cast<MemSetInst>(memory))
    expandMemSetAsLoop(set);
  else if (auto *copy = dyn_cast<MemCpyInst>(memory))
    expandMemCpyAsLoop(copy, TargetTransformInfo(layout));
  else if (!expandMemMoveAsLoop(cast<MemMoveInst>(memory), TargetTransformInfo(layout)))
    return false;
  memory->eraseFromParent();
  return true;
}

} // namespace stepdown
