// The function of the host that a kernel becomes, and its calls of the emulator.
#pragma once
#include "lib/CodeGen/EmulationTable.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Instructions.h"
#include <array>

namespace stepdown {

/// `void(entries, parameters)`: the emulator's entry points, then the kernel's parameters at multiples of their
/// alignment. What a call gives and takes lies in 64-bit slots of a frame on the stack: results, then arguments.
class HostFunction {
public:
  /// Gives `kernel`'s name and body to a new function, and leaves `kernel` without a body. Operations are entered into
  /// `table` as those of kernel `number`, with where in the source they stand; `layout` is the chip's.
  HostFunction(llvm::Function &kernel, EmulationTable &table, uint32_t number, const llvm::DataLayout &layout);

  llvm::Function &function() { return *host; }
  /// Behind what reads parameters and entry points.
  llvm::Instruction *start() { return first; }

  /// A call for `operation` in front of `at`; returns its result, or null where that is void.
  llvm::Value *perform(llvm::Instruction *at, llvm::StringRef name, EmulatedOperation operation,
                       llvm::ArrayRef<llvm::Value *> arguments, llvm::Type *result);
  /// The same at `builder` for a `source` whose `results` slots result() reads, behind it.
  void call(llvm::IRBuilderBase &builder, const llvm::Instruction &source, llvm::StringRef name,
            EmulatedOperation operation, unsigned results, llvm::ArrayRef<llvm::Value *> arguments) {
    callAt(0, builder, source, name, operation, results, arguments);
  }
  /// The same with a frame that begins at slot `first`; returns the slot behind it.
  unsigned callAt(unsigned first, llvm::IRBuilderBase &builder, const llvm::Instruction &source, llvm::StringRef name,
                  EmulatedOperation operation, unsigned results, llvm::ArrayRef<llvm::Value *> arguments);
  /// What a call left from slot `index` on, which goes behind it.
  llvm::Value *take(llvm::IRBuilderBase &builder, unsigned &index, llvm::Type *type);
  llvm::Value *result(llvm::IRBuilderBase &builder, unsigned slot);
  /// What `source` accesses: `bytes` at `address`.
  void access(llvm::IRBuilderBase &builder, const llvm::Instruction &source, llvm::StringRef name,
              EmulatedOperation operation, unsigned bytes, llvm::Value *address);
  /// The 32 bits of a register that a matrix product has `wide`.
  llvm::Value *resolve(llvm::IRBuilderBase &builder, const llvm::Instruction &source, llvm::Value *wide);
  /// A turn of the loop that `source` ends.
  void turn(llvm::IRBuilderBase &builder, const llvm::Instruction &source);
  /// Gives the frame the size that all calls need.
  void finish();

private:
  uint32_t record(const llvm::Instruction &source, llvm::StringRef name, EmulatedOperation operation, unsigned results,
                  unsigned arguments, unsigned bytes = 0);
  llvm::CallInst *enter(llvm::IRBuilderBase &builder, unsigned which, llvm::Type *result, uint32_t operation,
                        llvm::Value *last);
  llvm::Value *slot(llvm::IRBuilderBase &builder, unsigned index);
  void put(llvm::IRBuilderBase &builder, unsigned &index, llvm::Value *value);

  EmulationTable &table;
  const uint32_t number;
  const llvm::DataLayout &layout;
  llvm::Function *host = nullptr;
  std::array<llvm::Value *, 4> entryPoints; ///< perform, access, resolve, turn
  llvm::AllocaInst *frame = nullptr;
  llvm::Instruction *first = nullptr;
  unsigned slots = 0; ///< of the frame
};

} // namespace stepdown
