// The host's half of a function whose arrays lie on a device: launches, and accesses to single elements, become calls
// through the table that the caller hands in with the call's record (stepdown_host of include/stepdown/Artifact.h).
#include "dialects/Tile/IR/TileOps.h"
#include "include/stepdown/Artifact.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/CPU/Operands.h"
#include "passes/CPU/Passes.h"
#include "llvm/Support/MathExtras.h"
#include <cstddef>

using namespace mlir;

namespace stepdown {
#define GEN_PASS_DEF_BINDLAUNCHES
#include "passes/CPU/Passes.h.inc"

namespace {

/// A kernel; and of a tile kernel over how many elements one turn of a block goes, and what has their rows and columns.
struct Kernel {
  uint64_t number = 0; ///< among the kernels of the module
  SmallVector<int64_t> tile;
  int64_t cluster = 1;       ///< blocks
  int64_t shares = 1;        ///< of the sum, one for each block along y; the rows are as many times over
  SmallVector<int64_t> over; ///< operand and dimension of the rows, and of the columns; empty: the output's
};

struct BindLaunches : impl::BindLaunchesBase<BindLaunches> {
  using BindLaunchesBase::BindLaunchesBase;
  llvm::StringMap<Kernel> kernels; ///< by the name of their gpu.module, which has one
  Type pointer, i64, i32;

  /// Of one function.
  struct Host {
    Value table; ///< stepdown_host
    Value words; ///< of one launch at a time
    Value element;
  };

  Value number(OpBuilder &b, Location loc, int64_t value) {
    return arith::ConstantOp::create(b, loc, b.getI64IntegerAttr(value));
  }
  Value asWord(OpBuilder &b, Location loc, Value index) { return arith::IndexCastOp::create(b, loc, i64, index); }

  /// Calls the function at byte `offset` of the table; the function ends where that says no.
  void call(OpBuilder &b, Location loc, const Host &host, size_t offset, ValueRange arguments) {
    Value callee = loadOperand(b, loc, pointer, host.table, offset / 8);
    SmallVector<Value> operands = {callee, host.table};
    llvm::append_range(operands, arguments);
    SmallVector<Type> types;
    for (Value operand : ArrayRef(operands).drop_front())
      types.push_back(operand.getType());
    Value status = LLVM::CallOp::create(b, loc, LLVM::LLVMFunctionType::get(i32, types), operands).getResult();
    Value good = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, status,
                                       arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(0)));
    cf::AssertOp::create(b, loc, good, kDeviceCheck);
  }

  void launch(OpBuilder &b, Location loc, const Host &host, const Kernel &kernel, ValueRange words,
              ArrayRef<Value> grid) {
    for (auto [i, word] : llvm::enumerate(words))
      LLVM::StoreOp::create(b, loc, word, operandPlace(b, loc, host.words, i));
    SmallVector<Value> arguments = {number(b, loc, kernel.number), host.words, number(b, loc, words.size())};
    llvm::append_range(arguments, grid);
    call(b, loc, host, offsetof(stepdown_host, launch), arguments);
  }

  static int64_t bytesOf(Type element) {
    return element.isIndex() ? 8 : llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
  }

  /// Whether LLVM has no type for the float: its bits are an integer there.
  static bool isEight(Type type) { return isa<FloatType>(type) && type.getIntOrFloatBitWidth() == 8; }

  /// The address of the first element that `memref` shows.
  Value addressOf(OpBuilder &b, Location loc, Value memref) {
    auto type = cast<MemRefType>(memref.getType());
    Value base = asWord(b, loc, memref::ExtractAlignedPointerAsIndexOp::create(b, loc, memref));
    if (type.getLayout().isIdentity())
      return base;
    auto whole = memref::ExtractStridedMetadataOp::create(b, loc, memref);
    Value bytes = arith::MulIOp::create(b, loc, asWord(b, loc, whole.getOffset()),
                                        number(b, loc, bytesOf(type.getElementType())));
    return arith::AddIOp::create(b, loc, base, bytes);
  }

  Value addressOf(OpBuilder &b, Location loc, Value memref, ValueRange indices) {
    Value address = addressOf(b, loc, memref);
    if (indices.empty())
      return address;
    auto whole = memref::ExtractStridedMetadataOp::create(b, loc, memref);
    Value bytes = number(b, loc, bytesOf(cast<MemRefType>(memref.getType()).getElementType()));
    for (auto [index, stride] : llvm::zip(indices, whole.getStrides())) {
      Value elements = arith::MulIOp::create(b, loc, asWord(b, loc, index), asWord(b, loc, stride));
      address = arith::AddIOp::create(b, loc, address, arith::MulIOp::create(b, loc, elements, bytes));
    }
    return address;
  }

  /// `value` as the low bits of a word.
  Value wordOf(OpBuilder &b, Location loc, Value value) {
    Type type = value.getType();
    if (type.isIndex())
      return asWord(b, loc, value);
    if (isa<FloatType>(type)) {
      type = b.getIntegerType(type.getIntOrFloatBitWidth());
      value = arith::BitcastOp::create(b, loc, type, value);
    }
    return type.getIntOrFloatBitWidth() == 64 ? value : Value(arith::ExtUIOp::create(b, loc, i64, value));
  }

  /// As convert-gpu-to-nvvm takes a memref apart.
  void describe(OpBuilder &b, Location loc, Value memref, SmallVectorImpl<Value> &words) {
    auto whole = memref::ExtractStridedMetadataOp::create(b, loc, memref);
    Value base = asWord(b, loc, memref::ExtractAlignedPointerAsIndexOp::create(b, loc, memref));
    words.append({base, base, asWord(b, loc, whole.getOffset())});
    for (Value size : whole.getSizes())
      words.push_back(asWord(b, loc, size));
    for (Value stride : whole.getStrides())
      words.push_back(asWord(b, loc, stride));
  }

  LogicalResult bind(gpu::LaunchFuncOp op, const Host &host) {
    OpBuilder b(op);
    Location loc = op.getLoc();
    SmallVector<Value> words;
    for (Value operand : op.getKernelOperands())
      if (isa<MemRefType>(operand.getType()))
        describe(b, loc, operand, words);
      else
        words.push_back(wordOf(b, loc, operand));
    SmallVector<Value> grid;
    for (Value blocks : {op.getGridSizeX(), op.getGridSizeY(), op.getGridSizeZ()})
      grid.push_back(wordOf(b, loc, blocks));
    launch(b, loc, host, kernels.at(op.getKernelModuleName().getValue()), words, grid);
    op.erase();
    return success();
  }

  /// Blocks share the tiles out: as many as run at a time, or as there are tiles.
  LogicalResult bind(tile::LaunchOp op, const Host &host) {
    OpBuilder b(op);
    Location loc = op.getLoc();
    auto found = kernels.find(op.getKernel());
    if (found == kernels.end() || found->second.tile.size() != 2)
      return op.emitOpError() << "expects a kernel that was lowered and goes over tiles";
    SmallVector<Value> words;
    for (Value operand : op->getOperands()) {
      words.push_back(addressOf(b, loc, operand));
      for (int64_t d = 0; d < 2; ++d)
        words.push_back(asWord(b, loc, memref::DimOp::create(b, loc, operand, d)));
    }
    SmallVector<int64_t> over = found->second.over;
    if (over.size() != 4) {
      const int64_t output = op->getNumOperands() - 1;
      over = {output, 0, output, 1};
    }
    const int64_t cluster = found->second.cluster;
    const int64_t shares = found->second.shares;
    Value blocks = number(b, loc, 1);
    for (int64_t d = 0; d < 2; ++d) {
      Value each = number(b, loc, found->second.tile[d]), size = words[3 * over[2 * d] + 1 + over[2 * d + 1]];
      if (d == 0 && shares > 1)
        size = arith::DivUIOp::create(b, loc, size, number(b, loc, shares));
      Value padded = arith::AddIOp::create(b, loc, size, number(b, loc, found->second.tile[d] - 1));
      blocks = arith::MulIOp::create(b, loc, blocks, arith::DivUIOp::create(b, loc, padded, each));
    }
    // `tile` is what a cluster goes over; clusters are whole.
    blocks = arith::MinUIOp::create(b, loc, blocks, number(b, loc, std::max<int64_t>(multiprocessors / cluster, 1)));
    blocks = arith::MulIOp::create(b, loc, blocks, number(b, loc, cluster));
    launch(b, loc, host, found->second, words, {blocks, number(b, loc, shares), number(b, loc, 1)});
    op.erase();
    return success();
  }

  void bind(memref::LoadOp op, const Host &host) {
    OpBuilder b(op);
    Location loc = op.getLoc();
    Type type = op.getType();
    Value address = addressOf(b, loc, op.getMemRef(), op.getIndices());
    call(b, loc, host, offsetof(stepdown_host, read), {host.element, address, number(b, loc, bytesOf(type))});
    Value value = LLVM::LoadOp::create(b, loc,
                                       type.isIndex()  ? i64
                                       : isEight(type) ? Type(b.getI8Type())
                                                       : type,
                                       host.element);
    if (isEight(type))
      value = arith::BitcastOp::create(b, loc, type, value);
    if (type.isIndex())
      value = arith::IndexCastOp::create(b, loc, type, value);
    op.replaceAllUsesWith(value);
    op.erase();
  }

  void bind(memref::StoreOp op, const Host &host) {
    OpBuilder b(op);
    Location loc = op.getLoc();
    Value value = op.getValueToStore(), address = addressOf(b, loc, op.getMemRef(), op.getIndices());
    const int64_t bytes = bytesOf(value.getType());
    if (value.getType().isIndex())
      value = asWord(b, loc, value);
    if (isEight(value.getType()))
      value = arith::BitcastOp::create(b, loc, b.getI8Type(), value);
    LLVM::StoreOp::create(b, loc, value, host.element);
    call(b, loc, host, offsetof(stepdown_host, write), {address, host.element, number(b, loc, bytes)});
    op.erase();
  }

  /// A constant of the program, on its way to the device.
  void bind(memref::CopyOp op, const Host &host) {
    OpBuilder b(op);
    Location loc = op.getLoc();
    auto type = cast<MemRefType>(op.getSource().getType());
    Value from = LLVM::IntToPtrOp::create(b, loc, pointer, addressOf(b, loc, op.getSource()));
    const int64_t bytes = type.getNumElements() * bytesOf(type.getElementType());
    call(b, loc, host, offsetof(stepdown_host, write),
         {addressOf(b, loc, op.getTarget()), from, number(b, loc, bytes)});
    op.erase();
  }

  LogicalResult bind(func::FuncOp function) {
    SmallVector<Operation *> work;
    size_t most = 1;
    WalkResult known = function.walk([&](Operation *op) {
      if (auto copy = dyn_cast<memref::CopyOp>(op); copy && !copy.getSource().getDefiningOp<memref::GetGlobalOp>()) {
        op->emitOpError() << "expects copies to be kernels before launches are bound";
        return WalkResult::interrupt();
      }
      if (!isa<gpu::LaunchFuncOp, tile::LaunchOp, memref::LoadOp, memref::StoreOp, memref::CopyOp>(op))
        return WalkResult::advance();
      work.push_back(op);
      size_t words = 0;
      for (Value operand : op->getOperands()) {
        auto type = dyn_cast<MemRefType>(operand.getType());
        words += type ? 3 + 2 * type.getRank() : 1;
      }
      most = std::max(most, words);
      return WalkResult::advance();
    });
    if (known.wasInterrupted())
      return failure();
    if (work.empty())
      return success();
    OpBuilder b = OpBuilder::atBlockBegin(&function.getBody().front());
    Location loc = function.getLoc();
    Host host;
    Value record = loadOperand(b, loc, pointer, function.getArgument(0), 0);
    host.table = loadOperand(b, loc, pointer, record, offsetof(stepdown_call, host) / 8);
    host.words = LLVM::AllocaOp::create(b, loc, pointer, i64, number(b, loc, most), 8);
    host.element = LLVM::AllocaOp::create(b, loc, pointer, i64, number(b, loc, 1), 8);
    for (Operation *op : work) {
      LogicalResult bound = success();
      if (auto call = dyn_cast<gpu::LaunchFuncOp>(op))
        bound = bind(call, host);
      else if (auto product = dyn_cast<tile::LaunchOp>(op))
        bound = bind(product, host);
      else if (auto load = dyn_cast<memref::LoadOp>(op))
        bind(load, host);
      else if (auto store = dyn_cast<memref::StoreOp>(op))
        bind(store, host);
      else
        bind(cast<memref::CopyOp>(op), host);
      if (failed(bound))
        return failure();
    }
    return success();
  }

  void runOnOperation() override {
    MLIRContext *context = &getContext();
    pointer = LLVM::LLVMPointerType::get(context);
    i64 = IntegerType::get(context, 64);
    i32 = IntegerType::get(context, 32);
    kernels.clear();
    for (auto module : getOperation().getOps<gpu::GPUModuleOp>()) {
      Kernel &kernel = kernels[module.getName()];
      kernel.number = kernels.size() - 1;
      for (auto function : module.getOps<LLVM::LLVMFuncOp>())
        if (auto launch = function->getAttrOfType<DictionaryAttr>(tile::kLaunchAttr)) {
          if (auto over = launch.getAs<DenseI64ArrayAttr>("over"))
            kernel.over.assign(over.asArrayRef().begin(), over.asArrayRef().end());
          if (auto tile = launch.getAs<DenseI64ArrayAttr>("tile"))
            kernel.tile.assign(tile.asArrayRef().begin(), tile.asArrayRef().end());
          if (auto cluster = launch.getAs<IntegerAttr>("cluster"))
            kernel.cluster = cluster.getInt();
          if (auto shares = launch.getAs<IntegerAttr>("shares"))
            kernel.shares = shares.getInt();
        }
    }
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (!function.isExternal() && failed(bind(function)))
        return signalPassFailure();
  }
};
} // namespace
} // namespace stepdown
