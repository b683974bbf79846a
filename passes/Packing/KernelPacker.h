// Builds the function of one kernel for one token-count bucket.
#pragma once
#include "dialects/Tile/IR/TileOps.h"
#include "dialects/Transformer/IR/TransformerOps.h"
#include "lib/Target/Target.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"

namespace stepdown {

/// One value for each place of operands of one shape.
bool isElementwise(mlir::linalg::GenericOp op);

class KernelPacker {
public:
  KernelPacker(transformer::KernelOp kernel, const Layout &layout, Bucket bucket, bool byRows);

  /// A private function `name` at `builder`; emits a diagnostic and fails where an operation cannot be packed.
  mlir::FailureOr<mlir::func::FuncOp> build(mlir::OpBuilder &builder, llvm::StringRef name);

  llvm::SmallVector<int64_t> sources;      ///< of the dispatch, see DispatchOp
  llvm::SmallVector<mlir::Attribute> dims; ///< of the dispatch
  llvm::SmallVector<int64_t> inplace;      ///< of the dispatch

private:
  using Value = mlir::Value;
  using Values = llvm::SmallVector<Value>;
  struct Argument {
    mlir::Type type;
    llvm::SmallVector<int64_t> dims, tile; ///< tile as TilingAttr has it
    int64_t source, part;
    Value of;     ///< the region's value
    int64_t view; ///< columns of an activation block, else 0
  };

  mlir::LogicalResult describe();
  mlir::LogicalResult describeInput(mlir::BlockArgument value);
  void describeResult(Value value, int64_t index);
  void argument(Value of, int64_t source, int64_t part, mlir::Type type, llvm::ArrayRef<int64_t> dims,
                llvm::ArrayRef<int64_t> tile, int64_t view = 0);

  mlir::LogicalResult pack(mlir::Operation &op);
  void packQuantize(transformer::QuantizeOp op);
  void packLinear(transformer::LinearOp op);
  void packExpertLinear(transformer::ExpertLinearOp op);
  Value product(mlir::Operation *op, Value activations, Value weights, Value out);
  void packSelect(transformer::SelectRowsOp op);
  mlir::LogicalResult packSplit(mlir::tensor::ExpandShapeOp op);
  mlir::LogicalResult packJoin(mlir::tensor::CollapseShapeOp op);
  mlir::LogicalResult packGeneric(mlir::linalg::GenericOp op);
  mlir::LogicalResult packEach(mlir::linalg::GenericOp op, unsigned columns, bool ofTiles);
  Value finalPlace(Value value);
  mlir::LogicalResult packColumns(mlir::linalg::GenericOp op, unsigned columns);
  mlir::LogicalResult packRows(mlir::linalg::GenericOp op);
  Value split(Value rows, mlir::RankedTensorType type);
  Value packBody(mlir::OpBuilder &inner, mlir::linalg::GenericOp op, mlir::IRMapping &map, bool lanes);

  mlir::VectorType lane();
  mlir::RankedTensorType lanes(llvm::ArrayRef<int64_t> shape);
  Value destination(Value of, mlir::RankedTensorType type, Value like);
  Value generic(Value out, mlir::ValueRange ins, llvm::ArrayRef<mlir::AffineMap> maps, unsigned parallel,
                unsigned reduction, llvm::function_ref<Value(mlir::OpBuilder &, mlir::ValueRange)> body);
  Value zeros(Value out);
  Value splat(double value);
  Value dim(Value tensor, int64_t which);

  transformer::KernelOp kernel;
  const Layout &layout;
  const int64_t laneCount; ///< floats of a vector, rows of a packed block
  Bucket bucket;
  int64_t extent, tiles;                                       ///< symbols of the rows and of their tiles
  bool isLinear = false, isAttention = false, seesAll = false; ///< seesAll: attention that is not causal
  int64_t ranks = 0; ///< of a linear kernel whose weights are of so many experts of each token; else 0
  int64_t headColumns = 0, headQueries = 0;         ///< of q, and query heads, for each cache head
  llvm::SmallVector<mlir::DenseI64ArrayAttr> loops; ///< of each part, see TilingAttr
  llvm::SmallVector<Argument> arguments;
  mlir::OpBuilder *b = nullptr;
  mlir::Location loc;
  llvm::DenseMap<Value, Values> values;                   ///< region value -> tensors of the function
  llvm::DenseMap<std::pair<Value, int64_t>, Value> views; ///< activations seen in blocks of so many columns
  llvm::DenseMap<Value, Value> destinations;
  llvm::DenseMap<Value, int64_t> parts; ///< of a linear, and what is made of it -> part that computes it
  Value rowsLike;                       ///< an argument with the rows of a tile
  llvm::DenseSet<Value> partial;        ///< sums over columns: a lane of each is the sum of its columns
  llvm::DenseSet<Value> perRow;         ///< one number for each row or head, not columns: all lanes hold it
};

} // namespace stepdown
