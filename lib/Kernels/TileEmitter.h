// What writing a tile kernel in operations of a chip begins with, whatever the chip: values that stand for values,
// arithmetic on numbers, loops, branches, and the schedule.
#pragma once
#include "dialects/Tile/IR/TileOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace stepdown {

/// Blocks of a cluster of `kernel`, 1 where it has none.
inline int64_t clusterOf(mlir::Operation *kernel) {
  auto blocks = kernel->getAttrOfType<mlir::IntegerAttr>(tile::kClusterAttr);
  return blocks ? blocks.getInt() : 1;
}

/// Shares of the sum of `kernel`, 1 where it has them not.
inline int64_t sharesOf(mlir::Operation *kernel) {
  auto shares = kernel->getAttrOfType<mlir::IntegerAttr>(tile::kSharesAttr);
  return shares ? shares.getInt() : 1;
}

struct SharedSum; // ShareEmitter.h

/// Products that a launch of `kernel` computes: their weights are its first arguments, their results its last.
inline int64_t productsOf(mlir::Operation *kernel) {
  auto grid = kernel->getAttrOfType<mlir::DenseI64ArrayAttr>(tile::kGridAttr);
  return grid && grid.size() > 4 ? grid[4] : 1;
}

/// Indices become i32. A value of the text may become several. Errors are diagnostics at the operation of the text.
class TileEmitter {
public:
  virtual ~TileEmitter() = default;

protected:
  using Value = mlir::Value;
  /// `chip` is what messages call the chip.
  TileEmitter(mlir::Operation *kernel, const char *chip)
      : b(kernel->getLoc(), kernel->getContext()), cluster(clusterOf(kernel)), chip(chip),
        alongTwo(kernel->hasAttr(tile::kGridAttr)) {}

  /// Operations that are not of numbers or control flow.
  virtual mlir::LogicalResult emitOperation(mlir::Operation &op) = 0;
  /// The types of the values that stand for one of `type`.
  virtual mlir::SmallVector<mlir::Type> convert(mlir::Type type) = 0;
  /// The number of this block along an axis, and of all of them, i32.
  virtual Value blockIndex(int axis) = 0;
  virtual Value blockCount(int axis) = 0;

  /// Of a kernel of several products: makes this block one of the product that it belongs to. `matrices` are those of
  /// the arguments; what the text reads, that of the first product, becomes that of the block's own.
  template <typename Matrix> void chooseProduct(mlir::Operation *kernel, llvm::DenseMap<Value, Matrix> &matrices);

  /// The parameters of a function that begins with `entry`: numbers, and of each matrix its pointer, the distance of
  /// its rows, how many they are, and columns.
  template <typename Matrix>
  void readPointers(tile::KernelOp kernel, mlir::Block &entry, llvm::DenseMap<Value, Matrix> &matrices);

  /// The rest of a function that is one program of all roles: what stands in front of them, what `prepare` emits, and
  /// `role`, into which the role that copies goes.
  mlir::LogicalResult emitProgram(tile::KernelOp kernel, tile::RoleOp role, llvm::function_ref<void()> prepare);
  /// The tile of the schedule around `theirs` becomes that of the schedule around `ours`: all schedules of a kernel go
  /// over the same tiles.
  void followTile(mlir::Operation *theirs, mlir::Operation *ours);
  /// Entries and numbers in `block` of a role that copies, without its copies and loops.
  mlir::LogicalResult emitNumbers(mlir::Block &block);
  mlir::LogicalResult emitBlock(mlir::Block &block);
  mlir::LogicalResult emitScalar(mlir::Operation &op);
  mlir::LogicalResult emitSchedule(tile::ScheduleOp op);
  mlir::LogicalResult emitLoop(mlir::scf::ForOp op);
  /// A loop over numbers from `lower` on that carries `carried`, which are then what it left; `body` fills a turn.
  mlir::LogicalResult emitTurns(Value lower, Value upper, Value step, mlir::SmallVectorImpl<Value> &carried,
                                llvm::function_ref<mlir::LogicalResult(Value, mlir::SmallVectorImpl<Value> &)> body);
  /// One turn of a loop of the text at `index`: `carried` becomes what it yields.
  mlir::LogicalResult emitTurn(mlir::scf::ForOp op, Value index, mlir::SmallVectorImpl<Value> &carried);
  /// What `originals` of the text are, one behind the other.
  void mapAll(mlir::ValueRange originals, mlir::ValueRange made);
  mlir::SmallVector<Value> lookupAll(mlir::ValueRange originals);
  mlir::LogicalResult emitBranch(mlir::scf::IfOp op);
  /// Of a product whose blocks along y share the sum out, matrices become what is of the block's share: where they
  /// begin, how many rows and columns they have. Returns the first number of the share along k, i32. Whole slots go to
  /// each.
  template <typename Matrix>
  Value takeShare(const SharedSum &sum, int64_t shares, llvm::DenseMap<Value, Matrix> &matrices);
  /// The `count` elements of a map that a thread holds: `element` of an operand's number and of an element's, `mapped`
  /// of an operation of the region that is no constant.
  void mapTile(tile::MapOp op, int64_t count, llvm::function_ref<Value(unsigned operand, int64_t element)> element,
               llvm::function_ref<Value(mlir::Operation &, mlir::IRMapping &)> mapped);

  /// The numbers of a row of `table`, whose rows lie `stride` numbers apart (i64), each as `uniform` makes it.
  void emitEntry(tile::EntryOp op, Value table, Value stride, llvm::function_ref<Value(Value)> uniform);

  Value i32(int64_t value);
  Value i64(int64_t value);
  Value binary(mlir::StringRef name, Value a, Value b);
  Value add(Value a, Value b);
  Value multiply(Value a, Value b);
  Value compare(mlir::arith::CmpIPredicate predicate, Value a, Value b);
  /// The values that stand for `value`.
  mlir::SmallVector<Value> lookup(Value value);
  void map(Value value, mlir::ValueRange made);

  mlir::ImplicitLocOpBuilder b;
  const int64_t cluster; ///< blocks, of tiles of rows that are neighbours

private:
  /// The products' blocks along x lie one behind the other: each has one for `width` of its `columns`.
  void shareBlocks(mlir::ArrayRef<Value> columns, int64_t width);
  /// Of a value of each product that of the block's own.
  Value ofProduct(mlir::ArrayRef<Value> each);

  const char *chip;
  const bool alongTwo;             ///< whether blocks lie along x and y
  mlir::SmallVector<Value> behind; ///< of each product but the last: whether the block is of one behind it
  Value firstBlock, ownBlocks;     ///< of the block's product, along x; null where there is one
  llvm::DenseMap<Value, mlir::SmallVector<Value>> values;
};

template <typename Matrix>
void TileEmitter::readPointers(tile::KernelOp kernel, mlir::Block &entry, llvm::DenseMap<Value, Matrix> &matrices) {
  auto next = entry.args_begin();
  for (mlir::BlockArgument argument : kernel.getBody().getArguments())
    if (mlir::isa<mlir::MemRefType>(argument.getType()))
      for (auto part : {&Matrix::pointer, &Matrix::stride, &Matrix::rows, &Matrix::columns})
        matrices[argument].*part = *next++;
    else
      map(argument, Value(*next++));
}

template <typename Matrix>
void TileEmitter::chooseProduct(mlir::Operation *kernel, llvm::DenseMap<Value, Matrix> &matrices) {
  const int64_t products = productsOf(kernel);
  if (products == 1)
    return;
  auto arguments = mlir::cast<tile::KernelOp>(kernel).getBody().getArguments();
  auto first = *kernel->getRegion(0).getOps<tile::RoleOp>().begin();
  tile::ScheduleOp schedule;
  first.walk([&](tile::ScheduleOp op) { schedule = op; });
  const auto results = arguments.take_back(products);
  auto each = [&](mlir::ArrayRef<mlir::BlockArgument> of, auto part) {
    mlir::SmallVector<Value> made;
    for (mlir::BlockArgument argument : of)
      made.push_back(matrices.at(argument).*part);
    return made;
  };
  shareBlocks(each(results, &Matrix::columns), schedule.getHeight());
  for (auto of : {arguments.take_front(products), results}) {
    Matrix chosen;
    for (auto part : Matrix::kParts)
      if (matrices.at(of.front()).*part)
        chosen.*part = ofProduct(each(of, part));
    matrices[of.front()] = chosen;
  }
}

} // namespace stepdown
