// What happens to a kernel: matrix products first, while their operands are still those of the inline assembly; then
// every other instruction of the target, then accesses to memory; last the function itself becomes one of the host.
#include "lib/CodeGen/KernelRewriter.h"
#include "lib/CodeGen/BFloatBits.h"
#include "lib/CodeGen/EmulatedAccess.h"
#include "lib/CodeGen/EmulatedOperations.h"
#include "lib/CodeGen/EmulatedRegisters.h"
#include "lib/CodeGen/EmulationTable.h"
#include "lib/CodeGen/InlinePtx.h"
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
      : kernel(kernel), context(kernel.getContext()), table(table), number(number), layout(layout) {}

  std::optional<Error> run(ArrayRef<std::pair<GlobalVariable *, uint64_t>> sharedVariables) {
    uint64_t bytes = 0;
    makeHostFunction(bytes);
    table.kernel(number).parameter_bytes = bytes;
    placeShared(sharedVariables);
    rewriteProducts();
    rewriteCalls();
    dropResources();
    rewriteAccesses();
    countTurns();
    if (error)
      return error;
    finishFrame();
    moveBFloatAsIntegers(*host);
    return std::nullopt;
  }

  Function *host = nullptr;

private:
  Error refuse(ErrorCode code, const Instruction &at, const std::string &what) {
    const DebugLoc &loc = at.getDebugLoc();
    Error made = fail(code, "%s: %s:%u: %s", host->getName().str().c_str(),
                      loc ? loc->getFilename().str().c_str() : "unknown", loc ? loc.getLine() : 0, what.c_str());
    if (!error)
      error = made;
    return made;
  }

  uint32_t record(const Instruction &at, StringRef name, EmulatedOperation operation, unsigned results,
                  unsigned arguments, unsigned bytes = 0) {
    const DebugLoc &loc = at.getDebugLoc();
    return table.add(name, number, loc ? loc->getFilename() : "", loc ? loc.getLine() : 0, operation, results,
                     arguments, bytes);
  }

  /// void(entries, parameters) with the kernel's body; parameters lie at multiples of their alignment.
  void makeHostFunction(uint64_t &offset) {
    Type *pointer = PointerType::get(context, 0);
    host = Function::Create(FunctionType::get(Type::getVoidTy(context), {pointer, pointer}, false),
                            GlobalValue::ExternalLinkage, "", kernel.getParent());
    const std::string name = kernel.getName().str();
    kernel.setName(name + ".chip");
    host->setName(name);
    host->splice(host->begin(), &kernel);
    IRBuilder<> builder(&*host->getEntryBlock().getFirstNonPHIOrDbgOrAlloca());
    for (Argument &argument : kernel.args()) {
      Type *type = argument.getType();
      const bool inPlace = argument.hasByValAttr();
      const uint64_t size = inPlace ? layout.getTypeAllocSize(argument.getParamByValType()).getFixedValue()
                                    : layout.getTypeAllocSize(type).getFixedValue();
      const uint64_t align = inPlace ? argument.getParamAlign().valueOrOne().value() : PowerOf2Ceil(size);
      offset = alignTo(offset, align);
      Value *at = builder.CreateConstGEP1_64(builder.getInt8Ty(), host->getArg(1), offset);
      if (!inPlace)
        argument.replaceAllUsesWith(builder.CreateLoad(type, at));
      else
        argument.replaceAllUsesWith(at);
      offset += size;
    }
    for (auto [i, entry] : enumerate(entryPoints))
      entry = builder.CreateLoad(pointer, builder.CreateConstGEP1_64(builder.getInt8Ty(), host->getArg(0), i * 8));
    frame = new AllocaInst(ArrayType::get(builder.getInt64Ty(), 1), 0, "frame", host->getEntryBlock().begin());
    start = &*builder.GetInsertPoint();
  }

  CallInst *enter(IRBuilderBase &builder, unsigned which, Type *result, uint32_t operation, Value *last) {
    SmallVector<Value *> arguments = {host->getArg(0), builder.getInt32(operation)};
    SmallVector<Type *> types = {arguments[0]->getType(), arguments[1]->getType()};
    if (last) {
      arguments.push_back(last);
      types.push_back(last->getType());
    }
    CallInst *call = builder.CreateCall(FunctionType::get(result, types, false), entryPoints[which], arguments);
    call->setConvergent();
    call->setDoesNotThrow();
    return call;
  }

  Value *slot(IRBuilderBase &builder, unsigned index) {
    return builder.CreateConstGEP1_64(builder.getInt64Ty(), frame, index);
  }

  void put(IRBuilderBase &builder, unsigned &index, Value *value) {
    if (auto *structure = dyn_cast<StructType>(value->getType())) {
      for (unsigned i = 0; i < structure->getNumElements(); ++i)
        put(builder, index, builder.CreateExtractValue(value, i));
      return;
    }
    if (value->getType()->isIntegerTy() && value->getType()->getIntegerBitWidth() < 32)
      value = builder.CreateZExt(value, builder.getInt32Ty());
    builder.CreateAlignedStore(value, slot(builder, index), Align(8));
    index += slotsOf(value->getType(), layout);
  }

  Value *take(IRBuilderBase &builder, unsigned &index, Type *type) {
    if (auto *structure = dyn_cast<StructType>(type)) {
      Value *whole = PoisonValue::get(type);
      for (unsigned i = 0; i < structure->getNumElements(); ++i)
        whole = builder.CreateInsertValue(whole, take(builder, index, structure->getElementType(i)), i);
      return whole;
    }
    if (type->isIntegerTy(1)) {
      Value *loaded = builder.CreateAlignedLoad(builder.getInt32Ty(), slot(builder, index++), Align(8));
      return builder.CreateTrunc(loaded, type);
    }
    Value *loaded = builder.CreateAlignedLoad(type, slot(builder, index), Align(8));
    index += slotsOf(type, layout);
    return loaded;
  }

  /// A call for `operation` in place of `at`; returns its result.
  Value *perform(Instruction *at, StringRef name, EmulatedOperation operation, ArrayRef<Value *> arguments,
                 Type *result) {
    IRBuilder<> builder(at);
    const unsigned results = result->isVoidTy() ? 0 : slotsOf(result, layout);
    unsigned index = results;
    for (Value *argument : arguments)
      put(builder, index, argument);
    frameSlots = std::max(frameSlots, index);
    enter(builder, 0, builder.getVoidTy(), record(*at, name, operation, results, index - results), frame);
    index = 0;
    return results ? take(builder, index, result) : nullptr;
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
        base = perform(start, "shared memory", {STEPDOWN_EMULATED_shared_base}, {}, variable->getType());
      IRBuilder<> builder(start);
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
    SmallVector<CallInst *> calls, waits;
    for (BasicBlock *block : ReversePostOrderTraversal<Function *>(host))
      for (Instruction &at : *block)
        if (auto *call = dyn_cast<CallInst>(&at); call && call->isInlineAsm()) {
          std::string unknown;
          auto *assembly = cast<InlineAsm>(call->getCalledOperand());
          auto instruction = readInlinePtx(assembly->getAsmString(), unknown);
          auto operation = instruction ? emulatedOperation(instruction->name) : std::nullopt;
          if (operation && operation->kind == STEPDOWN_EMULATED_wgmma) {
            calls.push_back(call);
            products.push_back({call, *instruction, *operation});
          } else if (operation && operation->kind == STEPDOWN_EMULATED_wgmma_wait && !call->getType()->isVoidTy()) {
            waits.push_back(call);
          }
        }
    MatrixRegisters registers(*host, calls, waits);
    for (Product &product : products)
      if (rewriteProduct(product, registers))
        return;
    for (CallInst *wait : waits) {
      std::string unknown;
      auto instruction = readInlinePtx(cast<InlineAsm>(wait->getCalledOperand())->getAsmString(), unknown);
      auto operation = *emulatedOperation(instruction->name);
      operation.modifiers[0] = instruction->operands.empty() ? 0 : instruction->operands[0].elements[0].value;
      perform(wait, instruction->name, operation, {}, Type::getVoidTy(context));
    }
    registers.finish([&](IRBuilderBase &builder, Value *wide) -> Value * {
      Instruction &at = *builder.GetInsertPoint();
      return enter(builder, 2, builder.getInt32Ty(), record(at, at.getOpcodeName(), {STEPDOWN_EMULATED_resolve}, 0, 0),
                   wide);
    });
    for (CallInst *call : calls)
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
    frameSlots = std::max<unsigned>(frameSlots, outputs + arguments.size());
    unsigned index = outputs;
    for (Value *argument : arguments)
      put(builder, index, argument);
    enter(builder, 0, builder.getVoidTy(), record(*call, name, product.operation, outputs, index - outputs), frame);
    for (unsigned i = 0; i < outputs; ++i)
      registers.define(call, i, builder.CreateAlignedLoad(builder.getInt64Ty(), slot(builder, i), Align(8)));
    return false;
  }

  void rewriteCalls() {
    SmallVector<CallInst *> calls;
    for (BasicBlock *block : ReversePostOrderTraversal<Function *>(host))
      for (Instruction &at : *block)
        if (auto *call = dyn_cast<CallInst>(&at))
          calls.push_back(call);
    for (CallInst *call : calls) {
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
    Value *result = perform(call, instruction->name, *operation, arguments, call->getType());
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
    if (Value *result = perform(call, intrinsic, *operation, arguments, call->getType()))
      call->replaceAllUsesWith(result);
    call->eraseFromParent();
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
           isa<GlobalVariable>(object) || object == frame;
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
        perform(at, "fence", {STEPDOWN_EMULATED_fence, {acquires, releases}}, {}, builder.getVoidTy());
        at->eraseFromParent();
        continue;
      }
      if (isa<FPTruncInst>(at)) {
        if (!at->getType()->getScalarType()->isBFloatTy())
          continue;
        // The host has no such instruction, and would call a function.
        auto narrow = [&](Value *value) {
          return perform(at, "cvt.rn.bf16.f32", {STEPDOWN_EMULATED_to_bf16}, {value}, builder.getBFloatTy());
        };
        auto *vector = dyn_cast<FixedVectorType>(at->getType());
        Value *made = vector ? PoisonValue::get(vector) : narrow(at->getOperand(0));
        for (unsigned i = 0; vector && i < vector->getNumElements(); ++i)
          made = builder.CreateInsertElement(made, narrow(builder.CreateExtractElement(at->getOperand(0), i)), i);
        at->replaceAllUsesWith(made);
        at->eraseFromParent();
        continue;
      }
      const EmulatedAccess access = emulatedAccess(*at, kernel.getCallingConv() == CallingConv::AMDGPU_KERNEL);
      if (own(access.pointer))
        continue;
      const unsigned bytes = layout.getTypeStoreSize(access.type);
      Value *address = builder.CreateAddrSpaceCast(access.pointer, builder.getPtrTy());
      enter(builder, 1, builder.getVoidTy(), record(*at, access.name, access.operation, 0, 0, bytes), address);
    }
  }

  void countTurns() {
    DominatorTree tree(*host);
    for (BasicBlock &block : *host)
      for (BasicBlock *next : successors(&block))
        if (tree.dominates(next, &block)) {
          IRBuilder<> builder(block.getTerminator());
          enter(builder, 3, builder.getVoidTy(), record(*block.getTerminator(), "loop", {STEPDOWN_EMULATED_loop}, 0, 0),
                nullptr);
          break;
        }
  }

  void finishFrame() {
    auto *whole = new AllocaInst(ArrayType::get(Type::getInt64Ty(context), std::max(1u, frameSlots)), 0, nullptr,
                                 Align(64), "frame", host->getEntryBlock().begin());
    frame->replaceAllUsesWith(whole);
    frame->eraseFromParent();
  }

  Function &kernel;
  LLVMContext &context;
  EmulationTable &table;
  uint32_t number;
  const DataLayout &layout;
  std::array<Value *, 4> entryPoints;
  AllocaInst *frame = nullptr;
  Instruction *start = nullptr;
  unsigned frameSlots = 0;
  SmallVector<CallInst *> resources;
  std::optional<Error> error;
};

} // namespace

std::optional<Error> rewriteKernel(Function &kernel, EmulationTable &table, uint32_t number, const DataLayout &layout,
                                   ArrayRef<std::pair<GlobalVariable *, uint64_t>> sharedVariables) {
  return KernelRewriter(kernel, table, number, layout).run(sharedVariables);
}

} // namespace stepdown
