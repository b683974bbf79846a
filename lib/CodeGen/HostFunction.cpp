#include "lib/CodeGen/HostFunction.h"
#include "lib/CodeGen/EmulatedRegisters.h"
#include "llvm/IR/DebugInfoMetadata.h"
#include "llvm/IR/Module.h"

using namespace llvm;

namespace stepdown {

HostFunction::HostFunction(Function &kernel, EmulationTable &table, uint32_t number, const DataLayout &layout)
    : table(table), number(number), layout(layout) {
  LLVMContext &context = kernel.getContext();
  Type *pointer = PointerType::get(context, 0);
  host = Function::Create(FunctionType::get(Type::getVoidTy(context), {pointer, pointer}, false),
                          GlobalValue::ExternalLinkage, "", kernel.getParent());
  const std::string name = kernel.getName().str();
  kernel.setName(name + ".chip");
  host->setName(name);
  host->splice(host->begin(), &kernel);
  IRBuilder<> builder(&*host->getEntryBlock().getFirstNonPHIOrDbgOrAlloca());
  uint64_t offset = 0;
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
  table.kernel(number).parameter_bytes = offset;
  for (auto [i, entry] : enumerate(entryPoints))
    entry = builder.CreateLoad(pointer, builder.CreateConstGEP1_64(builder.getInt8Ty(), host->getArg(0), i * 8));
  frame = new AllocaInst(ArrayType::get(builder.getInt64Ty(), 1), 0, "frame", host->getEntryBlock().begin());
  first = &*builder.GetInsertPoint();
}

uint32_t HostFunction::record(const Instruction &source, StringRef name, EmulatedOperation operation, unsigned results,
                              unsigned arguments, unsigned bytes) {
  const DebugLoc &loc = source.getDebugLoc();
  return table.add(name, number, loc ? loc->getFilename() : "", loc ? loc.getLine() : 0, operation, results, arguments,
                   bytes);
}

CallInst *HostFunction::enter(IRBuilderBase &builder, unsigned which, Type *result, uint32_t operation, Value *last) {
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

Value *HostFunction::slot(IRBuilderBase &builder, unsigned index) {
  return builder.CreateConstGEP1_64(builder.getInt64Ty(), frame, index);
}

void HostFunction::put(IRBuilderBase &builder, unsigned &index, Value *value) {
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

Value *HostFunction::take(IRBuilderBase &builder, unsigned &index, Type *type) {
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

unsigned HostFunction::callAt(unsigned first, IRBuilderBase &builder, const Instruction &source, StringRef name,
                              EmulatedOperation operation, unsigned results, ArrayRef<Value *> arguments) {
  unsigned index = first + results;
  for (Value *argument : arguments)
    put(builder, index, argument);
  slots = std::max(slots, index);
  enter(builder, 0, builder.getVoidTy(), record(source, name, operation, results, index - first - results),
        first ? slot(builder, first) : frame);
  return index;
}

Value *HostFunction::result(IRBuilderBase &builder, unsigned index) {
  return builder.CreateAlignedLoad(builder.getInt64Ty(), slot(builder, index), Align(8));
}

Value *HostFunction::perform(Instruction *at, StringRef name, EmulatedOperation operation, ArrayRef<Value *> arguments,
                             Type *result) {
  IRBuilder<> builder(at);
  const unsigned results = result->isVoidTy() ? 0 : slotsOf(result, layout);
  call(builder, *at, name, operation, results, arguments);
  unsigned index = 0;
  return results ? take(builder, index, result) : nullptr;
}

void HostFunction::access(IRBuilderBase &builder, const Instruction &source, StringRef name,
                          EmulatedOperation operation, unsigned bytes, Value *address) {
  enter(builder, 1, builder.getVoidTy(), record(source, name, operation, 0, 0, bytes), address);
}

Value *HostFunction::resolve(IRBuilderBase &builder, const Instruction &source, Value *wide) {
  return enter(builder, 2, builder.getInt32Ty(),
               record(source, source.getOpcodeName(), {STEPDOWN_EMULATED_resolve}, 0, 0), wide);
}

void HostFunction::turn(IRBuilderBase &builder, const Instruction &source) {
  enter(builder, 3, builder.getVoidTy(), record(source, "loop", {STEPDOWN_EMULATED_loop}, 0, 0), nullptr);
}

void HostFunction::finish() {
  auto *whole = new AllocaInst(ArrayType::get(Type::getInt64Ty(host->getContext()), std::max(1u, slots)), 0, nullptr,
                               Align(64), "frame", host->getEntryBlock().begin());
  frame->replaceAllUsesWith(whole);
  frame->eraseFromParent();
}

} // namespace stepdown
