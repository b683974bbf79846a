// Tile operations on tensors become the same operations on memrefs, in place.
#include "dialects/Tile/IR/TileBufferization.h"
#include "dialects/Tile/IR/TileOps.h"
#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/DstBufferizableOpInterfaceImpl.h"

using namespace mlir;
using namespace mlir::bufferization;
using namespace stepdown::tile;

namespace {
template <typename Op> struct TileOpModel : DstBufferizableOpInterfaceExternalModel<TileOpModel<Op>, Op> {
  LogicalResult bufferize(Operation *op, RewriterBase &rewriter, const BufferizationOptions &options,
                          BufferizationState &state) const {
    auto tile = cast<Op>(op);
    if (tile.getResults().empty())
      return success();
    SmallVector<Value> operands;
    for (Value operand : op->getOperands()) {
      if (!isa<TensorType>(operand.getType())) {
        operands.push_back(operand);
        continue;
      }
      FailureOr<Value> buffer = getBuffer(rewriter, operand, options, state);
      if (failed(buffer))
        return failure();
      operands.push_back(*buffer);
    }
    OperationState copy(op->getLoc(), op->getName(), operands, TypeRange(), op->getAttrs());
    copy.propertiesAttr = op->getPropertiesAsAttribute();
    rewriter.create(copy);
    SmallVector<Value> outputs;
    for (OpOperand &init : tile.getDpsInitsMutable())
      outputs.push_back(operands[init.getOperandNumber()]);
    replaceOpWithBufferizedValues(rewriter, op, outputs);
    return success();
  }
};
} // namespace

void stepdown::tile::registerTileBufferization(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, TileDialect *) {
    PackActivationOp::attachInterface<TileOpModel<PackActivationOp>>(*context);
    GatherOp::attachInterface<TileOpModel<GatherOp>>(*context);
    RouteOp::attachInterface<TileOpModel<RouteOp>>(*context);
    CombineOp::attachInterface<TileOpModel<CombineOp>>(*context);
    AdaptOp::attachInterface<TileOpModel<AdaptOp>>(*context);
    RotateOp::attachInterface<TileOpModel<RotateOp>>(*context);
    CacheStoreOp::attachInterface<TileOpModel<CacheStoreOp>>(*context);
    AttendOp::attachInterface<TileOpModel<AttendOp>>(*context);
    LaunchOp::attachInterface<TileOpModel<LaunchOp>>(*context);
  });
}
