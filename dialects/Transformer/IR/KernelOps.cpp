// Verifiers and effects of the operations that kernels are made of.
#include "dialects/Transformer/IR/TransformerOps.h"
#include "lib/Target/Layout.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace stepdown::transformer;

int64_t QuantizeOp::getReadColumns() {
  const int64_t all = cast<RankedTensorType>(getX().getType()).getDimSize(1);
  return getGroups() ? all / (*getGroups())[1] * (*getGroups())[0] : all;
}

LogicalResult QuantizeOp::verify() {
  if (auto groups = getGroups()) {
    auto x = dyn_cast<RankedTensorType>(getX().getType());
    if (groups->size() != 2 || (*groups)[0] < 1 || (*groups)[1] < (*groups)[0] || !x || x.getRank() != 2 ||
        x.getDimSize(1) % (*groups)[1]) // C2
      return emitOpError() << "expects groups [n, m] with 1 <= n <= m and m a divisor of the columns of "
                           << getX().getType() << " (C2), but got [" << *groups << "]";
  }
  auto from = dyn_cast<RankedTensorType>(getX().getType()), to = dyn_cast<RankedTensorType>(getResult().getType());
  auto block = to ? dyn_cast<ActivationType>(to.getElementType()) : ActivationType();
  if (!from || from.getRank() != 2 || !block || to.getRank() != 2 || block.getTokens() != 1 ||
      to.getDimSize(1) * int64_t(block.getColumns()) !=
          int64_t(llvm::alignTo(getReadColumns(), block.getColumns()))) // C1
    return emitOpError() << "expects a result block of one token for every 32 columns of x (C1), but got "
                         << getX().getType() << " and " << getResult().getType();
  return success();
}

LogicalResult DispatchOp::verify() {
  const int64_t inputs = getNumOperands(), values = inputs + getNumResults();
  if (getDims().size() * 2 != getSources().size()) // C1
    return emitOpError() << "expects dims for every pair of sources (C1), but got " << getDims().size() << " for "
                         << getSources().size() << " numbers";
  for (Attribute dims : getDims())
    if (!isa<DenseI64ArrayAttr>(dims))
      return emitOpError() << "expects dims to be arrays of i64 (C1), but got " << dims;
  for (size_t i = 0; i < getSources().size(); i += 2)
    if (getSources()[i] < 0 || getSources()[i] >= values) // C2
      return emitOpError() << "expects sources below " << values << " (C2), but got " << getSources()[i];
  for (size_t i = 0; i < getInplace().size(); i += 2)
    if (i + 1 == getInplace().size() || getInplace()[i] < 0 || getInplace()[i] >= inputs || getInplace()[i + 1] < 0 ||
        getInplace()[i + 1] >= int64_t(getNumResults())) // C3
      return emitOpError() << "expects inplace pairs of an input and a result (C3)";
  return success();
}

LogicalResult BlockDotOp::verify() {
  auto acc = dyn_cast<VectorType>(getAcc().getType());
  int64_t rows = acc ? acc.getNumElements() : 1;
  if (rows != getWeight().getType().getRows()) // C1
    return emitOpError() << "expects an accumulator of " << getWeight().getType().getRows()
                         << " elements (C1), but got " << getAcc().getType();
  return success();
}

LogicalResult BlockPtrOp::verify() {
  int64_t rank = cast<MemRefType>(getBase().getType()).getRank();
  if (int64_t(getIndices().size()) != rank) // C1
    return emitOpError() << "expects " << rank << " indices (C1), but got " << getIndices().size();
  return success();
}

namespace {
/// What a tile operation expects of one operand.
struct Operand {
  enum Element { Lanes, Int32, Float32, Block, Activation, Cached };
  const char *name;
  int rank;
  Element element;
};
} // namespace

static bool isElement(Type type, Operand::Element element) {
  switch (element) {
  case Operand::Lanes: {
    auto lanes = dyn_cast<VectorType>(type);
    return lanes && lanes.getRank() == 1 && stepdown::layoutOfRows(lanes.getDimSize(0)) &&
           lanes.getElementType().isF32();
  }
  case Operand::Int32:
    return type.isSignlessInteger(32);
  case Operand::Float32:
    return type.isF32();
  case Operand::Block:
    return isa<BlockType>(type);
  case Operand::Activation:
    return isa<ActivationType>(type);
  case Operand::Cached:
    return type.isF16() || type.isF32();
  }
  return false;
}

/// `required` of the operands must be there, all of them may; those that are there have their rank and element.
static LogicalResult verifyOperands(Operation *op, const char *which, ValueRange values, ArrayRef<Operand> operands,
                                    size_t required) {
  static const std::string elements[] = {"vector<" + stepdown::layoutRows() + "xf32>",
                                         "i32",
                                         "f32",
                                         "!transformer.block",
                                         "!transformer.activation",
                                         "f16 or f32"};
  if (values.size() < required || values.size() > operands.size()) // C1
    return op->emitOpError() << "expects " << required << " " << which << ", but got " << values.size();
  for (auto [value, operand] : llvm::zip(values, operands)) {
    auto type = cast<ShapedType>(value.getType());
    if (!type.hasRank() || type.getRank() != operand.rank || !isElement(type.getElementType(), operand.element)) // C2
      return op->emitOpError() << "expects " << operand.name << " of rank " << operand.rank << " and element "
                               << elements[operand.element] << ", but got " << type;
  }
  return success();
}

static LogicalResult verifyTile(Operation *op, ValueRange ins, ArrayRef<Operand> inputs, ValueRange outs,
                                ArrayRef<Operand> outputs, size_t requiredInputs) {
  return failure(failed(verifyOperands(op, "inputs", ins, inputs, requiredInputs)) ||
                 failed(verifyOperands(op, "outputs", outs, outputs, outputs.size())));
}

LogicalResult PackActivationOp::verify() {
  return verifyTile(*this, getInputs(), {{"x", 2, Operand::Lanes}}, getOutputs(), {{"a", 2, Operand::Activation}}, 1);
}

LogicalResult GatherOp::verify() {
  return verifyTile(*this, getInputs(), {{"tokens", 1, Operand::Int32}, {"table", 2, Operand::Block}}, getOutputs(),
                    {{"y", 2, Operand::Lanes}}, 2);
}

LogicalResult RotateOp::verify() {
  return verifyTile(*this, getInputs(),
                    {{"x", 2, Operand::Lanes},
                     {"positions", 1, Operand::Int32},
                     {"coarse", 3, Operand::Float32},
                     {"fine", 3, Operand::Float32}},
                    getOutputs(), {{"y", 2, Operand::Lanes}}, 4);
}

LogicalResult CacheStoreOp::verify() {
  return verifyTile(*this, getInputs(),
                    {{"k", 2, Operand::Lanes},
                     {"v", 2, Operand::Lanes},
                     {"positions", 1, Operand::Int32},
                     {"sequences", 1, Operand::Int32},
                     {"table", 2, Operand::Int32}},
                    getOutputs(), {{"keys", 5, Operand::Cached}, {"values", 4, Operand::Cached}}, 5);
}

LogicalResult AttendOp::verify() {
  return verifyTile(*this, getInputs(),
                    {{"q", 2, Operand::Lanes},
                     {"keys", 5, Operand::Cached},
                     {"values", 4, Operand::Cached},
                     {"positions", 1, Operand::Int32},
                     {"sequences", 1, Operand::Int32},
                     {"table", 2, Operand::Int32},
                     {"sinks", 1, Operand::Float32}},
                    getOutputs(), {{"y", 2, Operand::Lanes}}, 6);
}

/// On memrefs a tile operation reads its inputs and writes (and, where it keeps what it does not write, reads) its
/// outputs.
template <typename Op>
static void tileEffects(Op op, SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>> &effects) {
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<MemRefType>(operand.get().getType()))
      continue;
    effects.emplace_back(MemoryEffects::Read::get(), &operand, SideEffects::DefaultResource::get());
    if (op.isDpsInit(&operand))
      effects.emplace_back(MemoryEffects::Write::get(), &operand, SideEffects::DefaultResource::get());
  }
}

#define TILE_OP(OP)                                                                                                    \
  void OP::getEffects(SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>> &effects) {                  \
    tileEffects(*this, effects);                                                                                       \
  }
TILE_OP(PackActivationOp)
TILE_OP(GatherOp)
TILE_OP(RotateOp)
TILE_OP(CacheStoreOp)
TILE_OP(AttendOp)
#undef TILE_OP
