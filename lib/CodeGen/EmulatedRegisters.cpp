#include "lib/CodeGen/EmulatedRegisters.h"
#include "llvm/Analysis/ValueTracking.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"

using namespace llvm;

namespace stepdown {
namespace {

/// A phi for each element, and the structure put together of them.
void splitStructurePhis(Function &function) {
  SmallVector<PHINode *> phis;
  for (Instruction &instruction : instructions(function))
    if (auto *phi = dyn_cast<PHINode>(&instruction); phi && phi->getType()->isStructTy())
      phis.push_back(phi);
  for (PHINode *phi : phis) {
    auto *type = cast<StructType>(phi->getType());
    SmallVector<PHINode *> parts;
    for (Type *element : type->elements())
      parts.push_back(PHINode::Create(element, phi->getNumIncomingValues(), "", phi->getIterator()));
    IRBuilder<> builder(&*phi->getParent()->getFirstNonPHIIt());
    Value *whole = PoisonValue::get(type);
    for (auto [i, part] : enumerate(parts))
      whole = builder.CreateInsertValue(whole, part, i);
    phi->replaceAllUsesWith(whole); // also where it is its own operand; looked through below
    for (unsigned in = 0; in < phi->getNumIncomingValues(); ++in) {
      builder.SetInsertPoint(phi->getIncomingBlock(in)->getTerminator());
      for (auto [i, part] : enumerate(parts))
        part->addIncoming(builder.CreateExtractValue(phi->getIncomingValue(in), i), phi->getIncomingBlock(in));
    }
    phi->eraseFromParent();
  }
  bool changed = true;
  while (changed) { // what is taken out of a structure just put together
    changed = false;
    for (Instruction &instruction : make_early_inc_range(instructions(function))) {
      if (auto *extract = dyn_cast<ExtractValueInst>(&instruction))
        if (Value *inserted = FindInsertedValue(extract->getAggregateOperand(), extract->getIndices());
            inserted && inserted != extract) {
          extract->replaceAllUsesWith(inserted);
          extract->eraseFromParent();
          changed = true;
          continue;
        }
      if (isa<InsertValueInst, ExtractValueInst>(instruction) && instruction.use_empty()) {
        instruction.eraseFromParent();
        changed = true;
      }
    }
  }
}

} // namespace

bool MatrixRegisters::handsOn(Instruction *user) const {
  return isa<PHINode, SelectInst, FreezeInst>(user) && !user->getType()->isAggregateType();
}

MatrixRegisters::MatrixRegisters(Function &function, ArrayRef<CallInst *> products, ArrayRef<CallInst *> waiting) {
  if (products.empty())
    return;
  splitStructurePhis(function);
  calls.insert(products.begin(), products.end());
  waits.insert(waiting.begin(), waiting.end());
  calls.insert(waiting.begin(), waiting.end());
  for (Instruction *call : calls)
    for (User *user : call->users())
      narrow.insert(cast<Instruction>(user)); // extractvalue, or the whole of a result that is one register
  for (size_t i = 0; i < narrow.size(); ++i)
    for (User *user : narrow[i]->users())
      if (auto *instruction = cast<Instruction>(user); handsOn(instruction) && !narrow.count(instruction))
        narrow.insert(instruction);
  for (Instruction *instruction : narrow)
    if (auto *phi = dyn_cast<PHINode>(instruction))
      wides[phi] =
          PHINode::Create(Type::getInt64Ty(function.getContext()), phi->getNumIncomingValues(), "", phi->getIterator());
}

Value *MatrixRegisters::wide(Value *value, IRBuilderBase &builder) {
  if (auto found = wides.find(value); found != wides.end())
    return found->second;
  auto *instruction = dyn_cast<Instruction>(value);
  if (instruction && narrow.count(instruction)) {
    IRBuilder<> here(instruction);
    Value *made = nullptr;
    if (auto *select = dyn_cast<SelectInst>(instruction))
      made = here.CreateSelect(select->getCondition(), wide(select->getTrueValue(), here),
                               wide(select->getFalseValue(), here));
    else if (auto *freeze = dyn_cast<FreezeInst>(instruction))
      made = wide(freeze->getOperand(0), here);
    else if (auto *extract = dyn_cast<ExtractValueInst>(instruction))
      if (auto *wait = dyn_cast<CallInst>(extract->getAggregateOperand()); wait && waits.count(wait))
        made = wide(wait->getArgOperand(extract->getIndices()[0]), here);
    if (made)
      return wides[value] = made;
  }
  Value *bits = builder.CreateFreeze(builder.CreateBitCast(value, builder.getInt32Ty()));
  return builder.CreateZExt(bits, builder.getInt64Ty());
}

void MatrixRegisters::define(CallInst *product, unsigned index, Value *value) {
  for (User *user : product->users())
    if (auto *extract = dyn_cast<ExtractValueInst>(user); extract && extract->getIndices()[0] == index)
      wides[extract] = value;
}

void MatrixRegisters::finish(const std::function<Value *(IRBuilderBase &, Value *)> &resolve) {
  for (Instruction *instruction : narrow)
    if (auto *phi = dyn_cast<PHINode>(instruction)) {
      auto *made = cast<PHINode>(wides[phi]);
      for (unsigned i = 0; i < phi->getNumIncomingValues(); ++i) {
        IRBuilder<> end(phi->getIncomingBlock(i)->getTerminator());
        made->addIncoming(wide(phi->getIncomingValue(i), end), phi->getIncomingBlock(i));
      }
    }
  for (Instruction *instruction : narrow) {
    SmallVector<Use *> uses;
    for (Use &use : instruction->uses())
      uses.push_back(&use);
    DenseMap<Instruction *, Value *> resolved;
    for (Use *use : uses) {
      auto *user = cast<Instruction>(use->getUser());
      if (calls.count(user) || narrow.count(user))
        continue;
      Value *&value = resolved[user];
      if (!value) {
        IRBuilder<> before(user);
        value = before.CreateBitCast(resolve(before, wide(instruction, before)), instruction->getType());
      }
      use->set(value);
    }
  }
  for (Instruction *instruction : narrow)
    instruction->replaceAllUsesWith(PoisonValue::get(instruction->getType()));
  for (Instruction *instruction : narrow)
    instruction->eraseFromParent();
}

bool madeAfterFence(const CallInst &product, ArrayRef<Value *> values) {
  SmallPtrSet<const Value *, 16> between;
  for (const Instruction *at = product.getPrevNode(); at; at = at->getPrevNode()) {
    if (auto *call = dyn_cast<CallInst>(at);
        call && call->getCalledFunction() &&
        call->getCalledFunction()->getName() == "llvm.nvvm.wgmma.fence.sync.aligned")
      return llvm::any_of(values, [&](Value *value) {
        while (isa<ExtractValueInst, BitCastInst>(value)) // no instructions of the chip
          value = cast<Instruction>(value)->getOperand(0);
        return between.contains(value);
      });
    between.insert(at);
  }
  return false;
}

} // namespace stepdown
