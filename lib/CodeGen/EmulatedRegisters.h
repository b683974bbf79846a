// Registers that an asynchronous matrix product writes.
//
// A wgmma returns at once and writes its accumulators later, but LLVM sees an instruction that has returned its
// results. So that the emulator may be as late as the machine, these results are 64 bits wide in emulated code: the
// value below, and above it what stands for a value still to come (0: none). They are handed on as they are through
// phis, selects and the next product, and only where an instruction uses one does a call resolve it.
#pragma once
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/SmallPtrSet.h"
#include "llvm/IR/IRBuilder.h"
#include <functional>

namespace stepdown {

class MatrixRegisters {
public:
  /// Splits phis of structures in `function` and finds what comes from the results of `products`, or of `waits`, which
  /// hand on their operands: result i of a wait is its argument i.
  MatrixRegisters(llvm::Function &function, llvm::ArrayRef<llvm::CallInst *> products,
                  llvm::ArrayRef<llvm::CallInst *> waits);

  /// `value` as 64 bits, for a use in front of the builder's place.
  llvm::Value *wide(llvm::Value *value, llvm::IRBuilderBase &builder);
  /// Result `index` of `product` is `value` (64 bits).
  void define(llvm::CallInst *product, unsigned index, llvm::Value *value);
  /// Once every product has been defined: fills phis, and has `resolve` make a value of each of the 64 bits that an
  /// instruction other than a product or wait uses. Then products and waits have no uses.
  void finish(const std::function<llvm::Value *(llvm::IRBuilderBase &, llvm::Value *wide)> &resolve);

private:
  bool handsOn(llvm::Instruction *user) const;

  llvm::SetVector<llvm::Instruction *> narrow; ///< values that may still be to come
  llvm::SmallPtrSet<llvm::Instruction *, 16> calls, waits;
  llvm::DenseMap<llvm::Value *, llvm::Value *> wides;
};

/// Whether one of `values` is made between the wgmma.fence in front of `product`, in its block, and `product`.
bool madeAfterFence(const llvm::CallInst &product, llvm::ArrayRef<llvm::Value *> values);

} // namespace stepdown
