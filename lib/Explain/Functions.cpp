// Operations are known by their places: fusion and lowering keep the place of what was written, and a body made of
// several has operations with the places of all.
#include "lib/Explain/Functions.h"
#include "dialects/Tile/IR/TileOps.h"
#include "dialects/Transformer/IR/TransformerOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace stepdown {
namespace {

std::string placeText(Location loc) {
  if (auto file = loc->findInstanceOf<FileLineColLoc>())
    return llvm::formatv("{0}:{1}:{2}", file.getFilename().getValue(), file.getLine(), file.getColumn());
  return "?";
}

uint64_t elementBytes(Type element) {
  return element.isIntOrFloat() ? llvm::divideCeil(element.getIntOrFloatBitWidth(), 8) : 8;
}

Known times(Known a, Known b) { return a && b ? Known(llvm::SaturatingMultiply<uint64_t>(*a, *b)) : std::nullopt; }
Known plus(Known a, Known b) { return a && b ? Known(llvm::SaturatingAdd<uint64_t>(*a, *b)) : std::nullopt; }

Known bytesOf(Type type) {
  auto array = dyn_cast<ShapedType>(type);
  if (!array)
    return 0; // a number travels in a register
  if (!array.hasStaticShape())
    return std::nullopt;
  Known bytes = elementBytes(array.getElementType());
  for (int64_t size : array.getShape())
    bytes = times(bytes, uint64_t(size));
  return bytes;
}

/// How often a call runs `op`: nothing where a branch or a condition decides.
Known runsOf(Operation *op) {
  Known runs = 1;
  for (Operation *around = op->getParentOp(); !isa<func::FuncOp>(around); around = around->getParentOp()) {
    auto loop = dyn_cast<LoopLikeOpInterface>(around);
    if (!loop || isa<scf::WhileOp>(around))
      return std::nullopt;
    auto lower = loop.getLoopLowerBounds(), upper = loop.getLoopUpperBounds(), step = loop.getLoopSteps();
    if (!lower || !upper || !step)
      return std::nullopt;
    for (auto [l, u, s] : llvm::zip_equal(*lower, *upper, *step)) {
      auto from = getConstantIntValue(l), to = getConstantIntValue(u), by = getConstantIntValue(s);
      if (!from || !to || !by || *by <= 0)
        return std::nullopt;
      runs = times(runs, *to > *from ? llvm::divideCeil(uint64_t(*to) - uint64_t(*from), uint64_t(*by)) : 0);
    }
  }
  return runs;
}

/// Operations of a body on values: constants, conversions, choices and indices only bring values where they are needed.
uint64_t operationsOf(linalg::LinalgOp op) {
  uint64_t count = 0;
  op.getBlock()->walk([&](Operation *inner) {
    StringRef name = inner->getName().getStringRef();
    if (inner->getNumResults() == 0 || inner->getResult(0).getType().isIndex() || name == "arith.constant" ||
        isa<CastOpInterface, arith::SelectOp>(inner))
      return;
    if (name.starts_with("arith.") || name.starts_with("math.") || isa<transformer::ElementaryOp>(inner))
      count += name == "math.fma" ? 2 : 1;
  });
  return count;
}

FunctionOperation measure(linalg::LinalgOp op) {
  FunctionOperation out;
  out.op = op->getName().getStringRef();
  out.place = placeText(op.getLoc());
  out.times = runsOf(op);
  // Every result is written; what it starts from is read where the body takes it.
  out.read = out.written = 0;
  for (OpOperand &operand : op->getOpOperands())
    if (op.payloadUsesValueFromOperand(&operand))
      out.read = plus(out.read, bytesOf(operand.get().getType()));
  for (Value result : op.getDpsInits())
    out.written = plus(out.written, bytesOf(result.getType()));
  Known points = 1;
  for (int64_t size : op.getStaticLoopRanges()) {
    out.loops.push_back(ShapedType::isDynamic(size) ? -1 : size);
    points = ShapedType::isDynamic(size) ? std::nullopt : times(points, uint64_t(size));
  }
  out.perPoint = operationsOf(op);
  out.operations = times(points, out.perPoint);
  return out;
}

std::string typeText(ShapedType type) {
  std::string text;
  llvm::raw_string_ostream out(text);
  out << type.getElementType() << " [";
  llvm::interleaveComma(type.getShape(), out, [&](int64_t size) {
    if (ShapedType::isDynamic(size))
      out << "?";
    else
      out << size;
  });
  out << "]";
  return text;
}

/// The allocations whose arrays a function hands to its caller.
llvm::SetVector<Operation *> handedOut(func::FuncOp function) {
  llvm::SetVector<Operation *> found;
  SmallVector<Value> open(function.getBody().front().getTerminator()->getOperands());
  llvm::DenseSet<Value> seen;
  while (!open.empty()) {
    Value value = open.pop_back_val();
    Operation *op = value.getDefiningOp();
    if (!seen.insert(value).second || !op)
      continue;
    if (isa<memref::AllocOp>(op))
      found.insert(op);
    if (auto view = dyn_cast<ViewLikeOpInterface>(op))
      open.push_back(view.getViewSource());
    const unsigned number = cast<OpResult>(value).getResultNumber();
    if (auto loop = dyn_cast<scf::ForOp>(op))
      open.push_back(loop.getInitArgs()[number]);
    for (Region &region : op->getRegions()) // a branch, or the last iteration
      if (Operation *end = region.empty() ? nullptr : region.front().getTerminator();
          isa_and_nonnull<scf::YieldOp>(end) && number < end->getNumOperands())
        open.push_back(end->getOperand(number));
  }
  return found;
}

/// Functions that callers know, in the order of the module.
SmallVector<func::FuncOp> publicFunctions(ModuleOp module) {
  SmallVector<func::FuncOp> found;
  module.walk([&](func::FuncOp function) {
    if (function.isPublic())
      found.push_back(function);
  });
  return found;
}

} // namespace

FunctionExplainer::FunctionExplainer(ModuleOp written) {
  written.walk([&](func::FuncOp function) {
    function.walk([&](Operation *op) {
      Operation *outer = op;
      for (Operation *around = op->getParentOp(); around != function && around; around = around->getParentOp())
        if (isa<linalg::LinalgOp>(around))
          outer = around;
      if (isa<FileLineColLoc>(op->getLoc()) && !isa<func::FuncOp, arith::ConstantOp>(outer))
        writtenOps.try_emplace(op->getLoc(),
                               WrittenOp{outer->getName().getStringRef().str(), placeText(outer->getLoc())});
    });
  });
}

std::vector<WrittenOp> FunctionExplainer::writtenAt(Operation *op) const {
  std::vector<WrittenOp> found;
  auto take = [&](Location loc) {
    auto file = loc->findInstanceOf<FileLineColLoc>();
    if (!file)
      return;
    auto at = writtenOps.find(Location(file));
    if (at != writtenOps.end() &&
        llvm::none_of(found, [&](const WrittenOp &other) { return other.place == at->second.place; }))
      found.push_back(at->second);
  };
  for (Region &region : op->getRegions())
    region.walk([&](Operation *inner) {
      if (!inner->hasTrait<OpTrait::IsTerminator>())
        take(inner->getLoc());
    });
  take(op->getLoc());
  return found;
}

void FunctionExplainer::takeOperations(ModuleOp lowered, const FusionRemarks &remarks) {
  for (func::FuncOp function : publicFunctions(lowered)) {
    FunctionReport report;
    report.name = function.getName();
    report.totalOperations = 0;
    llvm::DenseMap<Operation *, int> number;
    function.walk<WalkOrder::PreOrder>([&](linalg::LinalgOp op) {
      number[op] = int(report.operations.size());
      report.operations.push_back(measure(op));
      FunctionOperation &row = report.operations.back();
      row.computes = writtenAt(op);
      report.totalOperations = plus(report.totalOperations, times(row.times, row.operations));
    });
    function.walk<WalkOrder::PreOrder>([&](linalg::LinalgOp producer) {
      for (Value result : producer->getResults())
        for (OpOperand &use : result.getUses()) {
          Operation *reader = use.getOwner();
          if (isa<func::ReturnOp, tensor::DimOp>(reader))
            continue;
          FunctionEdge edge;
          edge.producer = number[producer];
          if (auto at = number.find(reader); at != number.end())
            edge.consumer = at->second;
          edge.reader = {reader->getName().getStringRef().str(), placeText(reader->getLoc())};
          edge.reason = remarks.whyApart(producer, use);
          report.edges.push_back(std::move(edge));
        }
    });
    llvm::sort(report.edges, [](const FunctionEdge &a, const FunctionEdge &b) { // uses have no order
      return std::tie(a.producer, a.consumer, a.reader.place, a.reason) <
             std::tie(b.producer, b.consumer, b.reader.place, b.reason);
    });
    functions.push_back(std::move(report));
  }
}

void FunctionExplainer::takeKernels(ModuleOp lowered, const std::string &target) {
  for (auto [function, report] : llvm::zip_equal(publicFunctions(lowered), functions)) {
    TargetKernels out = {target, {}};
    function.walk<WalkOrder::PreOrder>([&](Operation *op) {
      ExplainedLaunch kernel;
      if (auto launch = dyn_cast<tile::LaunchOp>(op)) {
        kernel.name = launch.getKernel();
        kernel.read = 0;
        for (Value input : launch.getInputs())
          kernel.read = plus(kernel.read, bytesOf(input.getType()));
        kernel.written = bytesOf(launch.getOutput().getType());
      } else if (auto threads = dyn_cast<linalg::LinalgOp>(op)) {
        const FunctionOperation measured = measure(threads);
        kernel.read = measured.read, kernel.written = measured.written;
      } else {
        return;
      }
      kernel.op = {op->getName().getStringRef().str(), placeText(op->getLoc())};
      kernel.times = runsOf(op);
      out.kernels.push_back(std::move(kernel));
    });
    report.kernels.push_back(std::move(out));
  }
  // The functions, or the processor's part of the module, stand in what the reasons do.
  lowered.walk<WalkOrder::PreOrder>([&](ModuleOp module) {
    auto reasons = module->getAttrOfType<ArrayAttr>(tile::kUnselectedAttr);
    if (!reasons)
      return WalkResult::advance();
    left.push_back({target, {}});
    for (StringAttr reason : reasons.getAsRange<StringAttr>())
      left.back().reasons.push_back(reason.str());
    return WalkResult::interrupt();
  });
}

void FunctionExplainer::takeArrays(ModuleOp lowered, const std::string &target) {
  for (auto [function, report] : llvm::zip_equal(publicFunctions(lowered), functions)) {
    TargetArrays out;
    out.target = target;
    out.range = 0;
    const auto results = handedOut(function);
    function.walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (!isa<memref::AllocOp, memref::AllocaOp>(op))
        return;
      PlacedArray array;
      auto type = cast<MemRefType>(op->getResult(0).getType());
      array.type = typeText(type);
      array.where = isa<memref::AllocaOp>(op) ? "stack" : results.contains(op) ? "result" : "scratch";
      array.place = placeText(op->getLoc());
      array.bytes = bytesOf(Type(type));
      array.inLoop = op->getParentOfType<LoopLikeOpInterface>() != nullptr;
      // A range gives out whole lines of the cache.
      const Known whole = array.bytes ? Known(llvm::alignTo(*array.bytes, 64)) : std::nullopt;
      if (array.where == "stack")
        out.stack += whole.value_or(0); // whose sizes are always known
      else
        out.range = array.inLoop ? std::nullopt : plus(out.range, whole);
      out.arrays.push_back(std::move(array));
    });
    report.targets.push_back(std::move(out));
  }
}

} // namespace stepdown
