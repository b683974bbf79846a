#include "lib/CodeGen/BFloatBits.h"
#include "llvm/ADT/PostOrderIterator.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"

using namespace llvm;

namespace stepdown {
namespace {

/// i16, or the vector of them, in place of `type`; null where that is not of bfloat.
Type *integersOf(Type *type) {
  if (!type->getScalarType()->isBFloatTy())
    return nullptr;
  return type->getWithNewType(Type::getInt16Ty(type->getContext()));
}

Value *bitsOf(IRBuilder<> &builder, Value *value) {
  Type *type = integersOf(value->getType());
  if (auto *cast = dyn_cast<BitCastInst>(value); cast && cast->getSrcTy() == type)
    return cast->getOperand(0);
  return builder.CreateBitCast(value, type);
}

/// What stands for `at`, as integers; null where `at` moves no bfloat or gives none.
Value *movedAsIntegers(Instruction *at) {
  IRBuilder<> builder(at);
  if (auto *load = dyn_cast<LoadInst>(at))
    if (Type *type = integersOf(load->getType()))
      return builder.CreateAlignedLoad(type, load->getPointerOperand(), load->getAlign(), load->isVolatile());
  if (auto *extract = dyn_cast<ExtractElementInst>(at); extract && integersOf(extract->getType()))
    return builder.CreateExtractElement(bitsOf(builder, extract->getVectorOperand()), extract->getIndexOperand());
  if (auto *insert = dyn_cast<InsertElementInst>(at); insert && integersOf(insert->getType()))
    return builder.CreateInsertElement(bitsOf(builder, insert->getOperand(0)), bitsOf(builder, insert->getOperand(1)),
                                       insert->getOperand(2));
  if (auto *shuffle = dyn_cast<ShuffleVectorInst>(at); shuffle && integersOf(shuffle->getType()))
    return builder.CreateShuffleVector(bitsOf(builder, shuffle->getOperand(0)), bitsOf(builder, shuffle->getOperand(1)),
                                       shuffle->getShuffleMask());
  if (auto *phi = dyn_cast<PHINode>(at))
    if (Type *type = integersOf(phi->getType())) {
      PHINode *made = builder.CreatePHI(type, phi->getNumIncomingValues());
      for (unsigned i = 0; i < phi->getNumIncomingValues(); ++i) {
        IRBuilder<> end(phi->getIncomingBlock(i)->getTerminator());
        made->addIncoming(bitsOf(end, phi->getIncomingValue(i)), phi->getIncomingBlock(i));
      }
      return made;
    }
  if (auto *select = dyn_cast<SelectInst>(at); select && integersOf(select->getType()))
    return builder.CreateSelect(select->getCondition(), bitsOf(builder, select->getTrueValue()),
                                bitsOf(builder, select->getFalseValue()));
  if (auto *cast = dyn_cast<BitCastInst>(at); cast && integersOf(cast->getSrcTy()))
    return bitsOf(builder, cast->getOperand(0));
  return nullptr;
}

} // namespace

void moveBFloatAsIntegers(Function &function) {
  SmallVector<Instruction *> work;
  for (BasicBlock *block : ReversePostOrderTraversal<Function *>(&function)) // what is used before its uses
    for (Instruction &at : *block)
      work.push_back(&at);
  for (Instruction *at : work) {
    if (Value *made = movedAsIntegers(at)) {
      IRBuilder<> builder(at->getParent(),
                          isa<PHINode>(at) ? at->getParent()->getFirstInsertionPt() : at->getIterator());
      at->replaceAllUsesWith(builder.CreateBitCast(made, at->getType()));
      at->eraseFromParent();
    } else if (auto *store = dyn_cast<StoreInst>(at); store && integersOf(store->getValueOperand()->getType())) {
      IRBuilder<> builder(at);
      store->setOperand(0, bitsOf(builder, store->getValueOperand()));
    }
  }
  // Bits that were made bfloat, and bits again in another block: in between a register would hold bfloat.
  for (Instruction &at : make_early_inc_range(instructions(function)))
    if (auto *cast = dyn_cast<BitCastInst>(&at); cast && integersOf(cast->getSrcTy()))
      if (auto *from = dyn_cast<BitCastInst>(cast->getOperand(0))) {
        IRBuilder<> builder(cast);
        cast->replaceAllUsesWith(builder.CreateBitCast(from->getOperand(0), cast->getType()));
      }
  for (Instruction &at : make_early_inc_range(instructions(function)))
    if (isa<BitCastInst>(at) && at.use_empty())
      at.eraseFromParent();
}

} // namespace stepdown
