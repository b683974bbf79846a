// What happens to a kernel: matrix products first, while their operands are still those of the inline assembly; then
// every other instruction of the target, then accesses to memory, and turns of loops.
#include "lib/CodeGen/KernelRewriter.h"
#include "lib/CodeGen/BFloatBits.h"
#include "lib/CodeGen/EmulatedAccess.h"
#include "lib/CodeGen/EmulatedOperations.h"
#include "lib/CodeGen/EmulatedRegisters.h"
#include "lib/CodeGen/EmulationTable.h"
#include "lib/CodeGen/HostFunction.h"
#include "lib/CodeGen/InlinePtx.h"
#include "lib/CodeGen/ProductGroups.h"
#include "llvm/ADT/PostOrderIterator.h"
#include "llvm/Analysis/ValueTracking.h"
#include "llvm/IR/Dominators.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/IntrinsicsAMDGPU.h"

using namespace llvm;

namespace stepdown {
namespace {

class KernelRewriter {
public:
  KernelRewriter(Function &kernel, EmulationTable &table, uint32_t number, const DataLayout &layout)
      : chip(kernel.getCallingConv()), context(kernel.getContext()), layout(layout),
        calls(kernel, table, number, layout), host(&calls.function()) {}

  std::optional<Error> run(ArrayRef<std::pair<GlobalVariable *, uint64_t>> sharedVariables) {
    placeShared(sharedVariables);
    rewriteProducts();
    rewriteCalls();
    dropResources();
    rewriteAccesses();
    countTurns();
    if (error)
      return error;
    calls.finish();
    moveBFloatAsIntegers(*host);
    return std::nullopt;
  }

private:
  Error refuse(ErrorCode code, const Instruction &at, const std::string &what) {
    const DebugLoc &loc = at.getDebugLoc();
    Error made = fail(code, "%s: %s:%u: %s", host->getName().str().c_str(),
                      loc ? loc->getFilename().str().c_str() : "unknown", loc ? loc.getLine() : 0, what.c_str());
    if (!error)
      error = made;
    return made;
  }

  void placeShared(ArrayRef<std::pair<GlobalVariable *, uint64_t>> variables) {
    Value *base = nullptr;
    for (auto [variable, offset] : variables) {
      SmallVector<Use *> uses;
      for (Use &use : variable->uses())
        if (auto *user = dyn_cast<Instruction>(use.getUser()); user && user->getFunction() == host)
          uses.push_back(&use);
      if (uses.empty())
        continue;
      if (!base)
        base = calls.perform(calls.start(), "shared memory", {STEPDOWN_EMULATED_shared_base}, {}, variable->getType());
      IRBuilder<> builder(calls.start());
      Value *at = builder.CreateConstGEP1_64(builder.getInt8Ty(), base, offset);
      for (Use *use : uses)
        use->set(at);
    }
  }

  struct Product {
    CallInst *call;
    PtxInstruction instruction;
    EmulatedOperation operation;
  };

  void rewriteProducts() {
    SmallVector<Product> products;
    SmallVector<CallInst *> issues, waits;
    for (BasicBlock *block : ReversePostOrderTraversal<Function *>(host))
      for (Instruction &at : *block)
        if (auto *call = dyn_cast<CallInst>(&at); call && call->isInlineAsm()) {
          std::string unknown;
          auto *assembly = cast<InlineAsm>(call->getCalledOperand());
          auto instruction = readInlinePtx(assembly->getAsmString(), unknown);
          auto operation = instruction ? emulatedOperation(instruction->name) : std::nullopt;
          if (operation && operation->kind == STEPDOWN_EMULATED_wgmma) {
            issues.push_back(call);
            products.push_back({call, *instruction, *operation});
          } else if (operation && operation->kind == STEPDOWN_EMULATED_wgmma_wait && !call->getType()->isVoidTy()) {
            waits.push_back(call);
          }
        }
    MatrixRegisters registers(*host, issues, waits);
    for (Product &product : products)
      if (rewriteProduct(product, registers))
        return;
    for (CallInst *wait : waits) {
      std::string unknown;
      auto instruction = readInlinePtx(cast<InlineAsm>(wait->getCalledOperand())->getAsmString(), unknown);
      auto operation = *emulatedOperation(instruction->name);
      operation.modifiers[0] = instruction->operands.empty() ? 0 : instruction->operands[0].elements[0].value;
      calls.perform(wait, instruction->name, operation, {}, Type::getVoidTy(context));
    }
    registers.finish([&](IRBuilderBase &builder, Value *wide) -> Value * {
      Instruction &at = *builder.GetInsertPoint();
      return calls.resolve(builder, at, wide);
    });
    for (CallInst *call : issues)
      call->eraseFromParent();
    for (CallInst *call : waits)
      call->eraseFromParent();
  }

  bool rewriteProduct(Product &product, MatrixRegisters &registers) {
    CallInst *call = product.call;
    auto constraints = cast<InlineAsm>(call->getCalledOperand())->ParseConstraints();
    unsigned outputs = 0;
    SmallVector<int> tied; // argument -> output, or -1
    for (InlineAsm::ConstraintInfo &constraint : constraints) {
      if (constraint.Type == InlineAsm::isOutput)
        ++outputs;
      else if (constraint.Type == InlineAsm::isInput) {
        int output = -1;
        const std::string code = constraint.Codes.empty() ? "" : constraint.Codes[0];
        if (StringRef(code).getAsInteger(10, output))
          output = -1;
        tied.push_back(output);
      }
    }
    auto &operands = product.instruction.operands;
    auto &m = product.operation.modifiers;
    const std::string name = product.instruction.name;
    if (operands.size() < 4 || !operands[0].group || operands[0].elements.size() != outputs) {
      refuse(ErrorCode::KernelEmulation, *call, name + ": expects accumulators, a, b and scales as operands");
      return true;
    }
    IRBuilder<> builder(call);
    auto value = [&](const PtxOperand::Element &element) -> Value * {
      if (element.immediate)
        return builder.getInt32(static_cast<int32_t>(element.value));
      return call->getArgOperand(element.value - outputs);
    };
    SmallVector<Value *> arguments;
    for (unsigned i = 0; i < outputs; ++i) {
      const auto at = llvm::find(tied, int(i));
      arguments.push_back(at == tied.end() ? static_cast<Value *>(builder.getInt64(0))
                                           : registers.wide(call->getArgOperand(at - tied.begin()), builder));
    }
    m[7] = int32_t(outputs);
    m[5] = operands[1].group ? int32_t(operands[1].elements.size()) : 0;
    for (const PtxOperand::Element &element : operands[1].elements)
      arguments.push_back(value(element));
    arguments.push_back(value(operands[2].elements[0]));
    arguments.push_back(value(operands[3].elements[0]));
    // After scale-d: signs of a and b (floating-point types alone), then whether a and b are transposed.
    const bool integer = m[2] == int32_t(EmulatedType::S32);
    for (size_t i = 4; i < operands.size() && !integer; ++i) {
      auto *constant = dyn_cast<ConstantInt>(value(operands[i].elements[0]));
      if (!constant) {
        refuse(ErrorCode::KernelEmulation, *call, name + ": expects signs and transposition as constants");
        return true;
      }
      const int64_t given = constant->getSExtValue();
      if (i == 4 || i == 5)
        m[6] |= given < 0 ? 4 << (i - 4) : 0;
      else if (operands.size() == 8)
        m[6] |= given ? 1 << (i - 6) : 0;
      else
        m[6] |= given ? 2 : 0; // a in registers: b alone
    }
    if (m[5] && madeAfterFence(*call, ArrayRef<Value *>(arguments).slice(outputs, m[5])))
      m[6] |= 16;
    calls.call(builder, *call, name, product.operation, outputs, arguments);
    for (unsigned i = 0; i < outputs; ++i)
      registers.define(call, i, calls.result(builder, i));
    return false;
  }

  void rewriteCalls() {
    SmallVector<CallInst *> work;
    for (BasicBlock *block : ReversePostOrderTraversal<Function *>(host))
      for (Instruction &at : *block)
        if (auto *call = dyn_cast<CallInst>(&at))
          work.push_back(call);
    for (CallInst *call : work) {
      if (auto *assembly = dyn_cast<InlineAsm>(call->getCalledOperand())) {
        rewriteAssembly(call, assembly);
      } else if (Function *callee = call->getCalledFunction()) {
        rewriteIntrinsic(call, callee);
      }
    }
  }

  void rewriteAssembly(CallInst *call, InlineAsm *assembly) {
    std::string unknown;
    auto instruction = readInlinePtx(assembly->getAsmString(), unknown);
    auto operation = instruction ? emulatedOperation(instruction->name) : std::nullopt;
    if (!operation) {
      refuse(ErrorCode::KernelInstruction, *call,
             "expects an instruction with a meaning, but got PTX \"" + (instruction ? instruction->name : unknown) +
                 "\"");
      return;
    }
    const unsigned outputs = call->getType()->isVoidTy()     ? 0
                             : call->getType()->isStructTy() ? call->getType()->getStructNumElements()
                                                             : 1;
    SmallVector<Value *> arguments;
    unsigned results = 0;
    for (const PtxOperand &operand : instruction->operands)
      for (const PtxOperand::Element &element : operand.elements) {
        if (!element.immediate && element.value < int64_t(outputs))
          ++results;
        else if (element.immediate)
          arguments.push_back(ConstantInt::get(Type::getInt32Ty(context), element.value));
        else if (element.value - outputs < call->arg_size())
          arguments.push_back(call->getArgOperand(element.value - outputs));
      }
    if (results != outputs) {
      refuse(ErrorCode::KernelEmulation, *call, instruction->name + ": expects each result among its operands");
      return;
    }
    Value *result = calls.perform(call, instruction->name, *operation, arguments, call->getType());
    if (result)
      call->replaceAllUsesWith(result);
    call->eraseFromParent();
  }

  void rewriteIntrinsic(CallInst *call, Function *callee) {
    StringRef name = callee->getName();
    if (isa<DbgInfoIntrinsic>(call) || call->getIntrinsicID() == Intrinsic::assume || call->isLifetimeStartOrEnd()) {
      call->eraseFromParent();
      return;
    }
    if (auto *memory = dyn_cast<MemIntrinsic>(call)) {
      if (!expandMemory(memory, layout))
        refuse(ErrorCode::KernelEmulation, *call, "expects no memmove of this kind");
      return;
    }
    std::string intrinsic;
    if (call->getIntrinsicID() == Intrinsic::amdgcn_make_buffer_rsrc) {
      resources.push_back(call); // a part of the accesses through it
      return;
    }
    if (name.consume_front("llvm.nvvm."))
      intrinsic = name.str();
    else if (name.starts_with("llvm.amdgcn."))
      intrinsic = name.drop_front(5).str();
    else
      switch (call->getIntrinsicID()) {
      case Intrinsic::exp2:
        intrinsic = "ex2.approx";
        break;
      case Intrinsic::log2:
        intrinsic = "lg2.approx";
        break;
      case Intrinsic::tanh:
        intrinsic = "tanh.approx";
        break;
      case Intrinsic::not_intrinsic:
        refuse(ErrorCode::KernelEmulation, *call, "expects no calls of functions, but got @" + name.str());
        return;
      default:
        return; // of LLVM itself: the host has it too, or the linker says what it lacks
      }
    auto operation = emulatedOperation(intrinsic);
    const bool scalar = call->getType()->isFloatTy();
    if (!operation ||
        (operation->kind >= STEPDOWN_EMULATED_power2 && operation->kind <= STEPDOWN_EMULATED_tangent && !scalar)) {
      refuse(ErrorCode::KernelInstruction, *call,
             "expects an instruction with a meaning, but got " + callee->getName().str());
      return;
    }
    SmallVector<Value *> arguments;
    for (Value *argument : call->args()) {
      auto *resource = dyn_cast<CallInst>(argument);
      if (resource && resource->getIntrinsicID() == Intrinsic::amdgcn_make_buffer_rsrc)
        llvm::append_range(arguments, resource->args());
      else
        arguments.push_back(argument);
    }
    if (operation->kind == STEPDOWN_EMULATED_buffer_load)
      operation->modifiers[0] = layout.getTypeStoreSize(call->getType());
    if (operation->kind == STEPDOWN_EMULATED_buffer_store) {
      Type *type = call->getArgOperand(0)->getType();
      operation->modifiers[0] = layout.getTypeStoreSize(type);
      operation->modifiers[1] = slotsOf(type, layout);
    }
    if (isLanesProduct(*call))
      return rewriteTogether(call, intrinsic, *operation, arguments);
    if (operation->kind == STEPDOWN_EMULATED_hint && call->use_empty()) { // the host has nothing to do for it
      call->eraseFromParent();
      return;
    }
    if (Value *result = calls.perform(call, intrinsic, *operation, arguments, call->getType()))
      call->replaceAllUsesWith(result);
    call->eraseFromParent();
  }

  /// Products that need not wait for each other are computed when lanes come to the last of them: each has a frame of
  /// its own until then.
  void rewriteTogether(CallInst *call, StringRef intrinsic, EmulatedOperation operation, ArrayRef<Value *> arguments) {
    together.push_back(call);
    places.push_back(places.empty() ? 0 : behindTogether);
    const bool more = areFollowed(together);
    operation.modifiers[7] = more;
    IRBuilder<> builder(call);
    behindTogether =
        calls.callAt(places.back(), builder, *call, intrinsic, operation, slotsOf(call->getType(), layout), arguments);
    if (more)
      return;
    for (auto [product, place] : zip(together, places)) {
      product->replaceAllUsesWith(calls.take(builder, place, product->getType()));
      product->eraseFromParent();
    }
    together.clear();
    places.clear();
  }

  /// What accesses go through has gone into them.
  void dropResources() {
    for (CallInst *resource : resources) {
      if (!resource->use_empty() && !error)
        refuse(ErrorCode::KernelEmulation, *resource,
               "expects the resource of each buffer access to be made by one make.buffer.rsrc, in front of it");
      resource->replaceAllUsesWith(PoisonValue::get(resource->getType()));
      resource->eraseFromParent();
    }
  }

  /// Memory of the lane itself: its stack, its parameters, constants.
  bool own(const Value *pointer) {
    const Value *object = getUnderlyingObject(pointer, 0);
    return isa<AllocaInst>(object) || object == host->getArg(0) || object == host->getArg(1) ||
           isa<GlobalVariable>(object);
  }

  void rewriteAccesses() {
    SmallVector<Instruction *> accesses;
    for (Instruction &at : instructions(*host))
      if (isa<LoadInst, StoreInst, AtomicRMWInst, AtomicCmpXchgInst, FenceInst, FPTruncInst>(at))
        accesses.push_back(&at);
    for (Instruction *at : accesses) {
      IRBuilder<> builder(at);
      if (auto *fence = dyn_cast<FenceInst>(at)) {
        const bool acquires = isAcquireOrStronger(fence->getOrdering());
        const bool releases = isReleaseOrStronger(fence->getOrdering());
        calls.perform(at, "fence", {STEPDOWN_EMULATED_fence, {acquires, releases}}, {}, builder.getVoidTy());
        at->eraseFromParent();
        continue;
      }
      if (isa<FPTruncInst>(at)) {
        if (!at->getType()->getScalarType()->isBFloatTy())
          continue;
        // The host has no such instruction, and would call a function.
        auto narrow = [&](Value *value) {
          return calls.perform(at, "cvt.rn.bf16.f32", {STEPDOWN_EMULATED_to_bf16}, {value}, builder.getBFloatTy());
        };
        auto *vector = dyn_cast<FixedVectorType>(at->getType());
        Value *made = vector ? PoisonValue::get(vector) : narrow(at->getOperand(0));
        for (unsigned i = 0; vector && i < vector->getNumElements(); ++i)
          made = builder.CreateInsertElement(made, narrow(builder.CreateExtractElement(at->getOperand(0), i)), i);
        at->replaceAllUsesWith(made);
        at->eraseFromParent();
        continue;
      }
      const EmulatedAccess access = emulatedAccess(*at, chip == CallingConv::AMDGPU_KERNEL);
      if (own(access.pointer))
        continue;
      const unsigned bytes = layout.getTypeStoreSize(access.type);
      Value *address = builder.CreateAddrSpaceCast(access.pointer, builder.getPtrTy());
      calls.access(builder, *at, access.name, access.operation, bytes, address);
    }
  }

  void countTurns() {
    DominatorTree tree(*host);
    for (BasicBlock &block : *host)
      for (BasicBlock *next : successors(&block))
        if (tree.dominates(next, &block)) {
          IRBuilder<> builder(block.getTerminator());
          calls.turn(builder, *block.getTerminator());
          break;
        }
  }

  const CallingConv::ID chip; ///< of the kernel as it was
  LLVMContext &context;
  const DataLayout &layout;
  HostFunction calls;
  Function *host;
  SmallVector<CallInst *> resources;
  SmallVector<CallInst *> together; ///< products of lanes that go with the next one
  SmallVector<unsigned> places;     ///< slots at which their frames begin
  unsigned behindTogether = 0;      ///< the slot behind these
  std::optional<Error> error;
};

} // namespace

std::optional<Error> rewriteKernel(Function &kernel, EmulationTable &table, uint32_t number, const DataLayout &layout,
                                   ArrayRef<std::pair<GlobalVariable *, uint64_t>> sharedVariables) {
  return KernelRewriter(kernel, table, number, layout).run(sharedVariables);
}

} // namespace stepdown
