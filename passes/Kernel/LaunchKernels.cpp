// Functions of a loop over tokens and columns become kernels with a thread for each turn. A kernel takes the words of a
// dispatch as they lie (include/stepdown/Artifact.h): of each operand its address, then its dimensions.
#include "dialects/Tile/IR/TileOps.h"
#include "dialects/Transformer/IR/TransformerOps.h"
#include "mlir/Conversion/LLVMCommon/MemRefBuilder.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "passes/Kernel/Passes.h"

using namespace mlir;

namespace stepdown {
#define GEN_PASS_DEF_LAUNCHKERNELS
#include "passes/Kernel/Passes.h.inc"

namespace {
struct LaunchKernels : impl::LaunchKernelsBase<LaunchKernels> {
  static Value word(OpBuilder &b, Location loc, int64_t value) {
    return LLVM::ConstantOp::create(b, loc, b.getI64Type(), b.getI64IntegerAttr(value));
  }

  /// A contiguous memref of `type` at `base`.
  static Value describe(OpBuilder &b, Location loc, MemRefType type, Value base, ValueRange sizes) {
    LLVMTypeConverter converter(b.getContext());
    SmallVector<Value> fields = {base, base, word(b, loc, 0)}, strides(type.getRank());
    fields.append(sizes.begin(), sizes.end());
    Value stride = word(b, loc, 1);
    for (int64_t d = type.getRank(); d-- > 0;) {
      strides[d] = stride;
      stride = LLVM::MulOp::create(b, loc, stride, sizes[d]);
    }
    fields.append(strides);
    Value descriptor = MemRefDescriptor::pack(b, loc, converter, type, fields);
    return UnrealizedConversionCastOp::create(b, loc, type, descriptor).getResult(0);
  }

  /// What asks for the address of an element of `memory`, block or number, knows it; blocks are not read otherwise.
  static LogicalResult placeElements(Value memory, Value base, ValueRange sizes) {
    Type element = cast<MemRefType>(memory.getType()).getElementType();
    auto block = dyn_cast<transformer::BlockType>(element);
    const int64_t elementBytes = block ? block.getBytes() : element.getIntOrFloatBitWidth() / 8;
    for (Operation *user : llvm::make_early_inc_range(memory.getUsers())) {
      auto pointer = dyn_cast<tile::BlockPtrOp>(user);
      if (!pointer && block)
        return user->emitOpError() << "expects blocks to be unpacked before kernels are launched";
      if (!pointer)
        continue;
      OpBuilder b(pointer);
      Location loc = pointer.getLoc();
      Value place;
      for (auto [index, size] : llvm::zip(pointer.getIndices(), sizes)) {
        Value i = arith::IndexCastOp::create(b, loc, b.getI64Type(), index);
        place = place ? Value(LLVM::AddOp::create(b, loc, LLVM::MulOp::create(b, loc, place, size), i)) : i;
      }
      Value bytes = LLVM::MulOp::create(b, loc, place, word(b, loc, elementBytes));
      Value address = LLVM::GEPOp::create(b, loc, base.getType(), b.getI8Type(), base, ArrayRef<LLVM::GEPArg>{bytes});
      pointer.replaceAllUsesWith(address);
      pointer.erase();
    }
    return success();
  }

  /// The body of `loop` for the token of the thread's block and the thread's own column.
  static void oneTurn(scf::ParallelOp loop, int64_t columns, int64_t threads) {
    OpBuilder b(loop);
    Location loc = loop.getLoc();
    auto number = [&](int64_t n) -> Value { return arith::ConstantIndexOp::create(b, loc, n); };
    Value token = gpu::BlockIdOp::create(b, loc, gpu::Dimension::x), column;
    column = arith::MulIOp::create(b, loc, gpu::BlockIdOp::create(b, loc, gpu::Dimension::y), number(threads));
    column = arith::AddIOp::create(b, loc, column, gpu::ThreadIdOp::create(b, loc, gpu::Dimension::x));
    loop.getInductionVars()[0].replaceAllUsesWith(token);
    if (loop.getNumLoops() == 2)
      loop.getInductionVars()[1].replaceAllUsesWith(column);
    Block *body = loop.getBody(), *to = loop->getBlock();
    auto at = Block::iterator(loop);
    if (columns % threads) { // threads that meet at barriers all have a turn
      Value inside = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, column, number(columns));
      to = scf::IfOp::create(b, loc, inside).thenBlock();
      at = std::prev(to->end());
    }
    to->getOperations().splice(at, body->getOperations(), body->begin(), std::prev(body->end()));
    loop.erase();
  }

  LogicalResult launch(func::FuncOp function, ArrayRef<int64_t> grid) {
    auto loops = llvm::to_vector(function.getOps<scf::ParallelOp>());
    // A loop over one column has been simplified away.
    if (loops.size() != 1 || loops.front().getNumLoops() > 2 || (loops.front().getNumLoops() < 2 && grid[0] != 1))
      return function.emitError() << "expects one loop over tokens and columns in a kernel that is launched";
    OpBuilder b(function);
    Location loc = function.getLoc();
    SmallVector<Type> words;
    for (Type type : function.getArgumentTypes()) {
      auto memref = dyn_cast<MemRefType>(type);
      if (!memref || !memref.getLayout().isIdentity())
        return function.emitError() << "expects arguments that are contiguous memrefs, but got " << type;
      words.push_back(LLVM::LLVMPointerType::get(b.getContext()));
      words.append(memref.getRank(), b.getI64Type());
    }
    const std::string name = function.getName().str();
    auto module = gpu::GPUModuleOp::create(b, loc, name);
    b.setInsertionPointToStart(module.getBody());
    auto kernel = gpu::GPUFuncOp::create(b, loc, name, b.getFunctionType(words, {}));
    kernel->setAttr(gpu::GPUDialect::getKernelFuncAttrName(), b.getUnitAttr());
    kernel.setKnownBlockSizeAttr(b.getDenseI32ArrayAttr({int32_t(grid[1]), 1, 1}));
    Block &entry = kernel.getBody().front(), &old = function.getBody().front();
    entry.getOperations().splice(entry.end(), old.getOperations(), old.begin(), std::prev(old.end()));
    b.setInsertionPointToEnd(&entry);
    gpu::ReturnOp::create(b, loc);
    b.setInsertionPointToStart(&entry);
    unsigned at = 0;
    for (BlockArgument argument : old.getArguments()) {
      auto type = cast<MemRefType>(argument.getType());
      Value base = entry.getArgument(at++);
      SmallVector<Value> sizes;
      for (int64_t d = 0; d < type.getRank(); ++d, ++at)
        sizes.push_back(type.isDynamicDim(d) ? Value(entry.getArgument(at)) : word(b, loc, type.getDimSize(d)));
      if (failed(placeElements(argument, base, sizes)))
        return failure();
      if (!argument.use_empty())
        argument.replaceAllUsesWith(describe(b, loc, type, base, sizes));
    }
    for (auto alloca : llvm::make_early_inc_range(entry.getOps<memref::AllocaOp>())) { // of all threads of a block
      alloca.replaceAllUsesWith(kernel.addWorkgroupAttribution(alloca.getType(), alloca.getLoc()));
      alloca.erase();
    }
    oneTurn(loops.front(), grid[0], grid[1]);
    function.erase();
    ++launches;
    return success();
  }

  void runOnOperation() override {
    for (auto function : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>()))
      if (auto grid = function->getAttrOfType<DenseI64ArrayAttr>(tile::kGridAttr))
        if (failed(launch(function, grid.asArrayRef())))
          return signalPassFailure();
  }
};
} // namespace
} // namespace stepdown
