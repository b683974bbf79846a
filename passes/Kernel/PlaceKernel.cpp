#include "passes/Kernel/PlaceKernel.h"
#include "dialects/Tile/IR/TileOps.h"
#include "lib/Kernels/ChipLimits.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/SymbolTable.h"

using namespace mlir;

namespace stepdown {

FailureOr<std::string> KernelPlace::add(StringRef name, Result<OwningOpRef<ModuleOp>> text, Location loc) {
  if (!text)
    return unfit(loc, text.error());
  auto made = *(*text)->getOps<tile::KernelOp>().begin();
  // Kernels of one name differ in what the name does not say; locations do not count, they are those of the text.
  std::string symbol = name.str();
  for (unsigned i = 1;; symbol = (name + "_" + Twine(i++)).str()) {
    Operation *known = SymbolTable::lookupSymbolIn(module, symbol);
    if (!known)
      break;
    auto other = dyn_cast<tile::KernelOp>(known);
    if (other && OperationEquivalence::isRegionEquivalentTo(&other.getBody(), &made.getBody(),
                                                            OperationEquivalence::IgnoreLocations))
      return symbol;
  }
  made->remove(); // from its own module
  made.setSymName(symbol);
  module.getBody()->push_back(made);
  return symbol;
}

FailureOr<std::string> KernelPlace::product(const SelectedKernel &kernel, const Epilogue &epilogue, Location loc) {
  auto text = matmulKernel(*module.getContext(), kernel.parameters);
  if (epilogue.empty() || !text)
    return add(kernel.name, std::move(text), loc);
  epilogue.addTo(*(*text)->getOps<tile::KernelOp>().begin());
  return add(kernel.name + "_fused", std::move(text), loc);
}

FailureOr<std::string> KernelPlace::scaledProduct(const SelectedKernel &kernel, Location loc) {
  return add(kernel.name, scaledMatmulKernel(*module.getContext(), kernel.parameters), loc);
}

FailureOr<std::string> KernelPlace::attention(const AttentionParameters &p, Location loc) {
  const std::string name = "attention_" + std::to_string(p.m) + "x" + std::to_string(p.n) + "x" + std::to_string(p.d) +
                           "_" + p.element + "_" + p.result + (p.sinks ? "_sinks" : "");
  return add(name, attentionKernel(*module.getContext(), p), loc);
}

void KernelPlace::leave(Operation *op, const Twine &reason) {
  std::string where;
  if (auto file = op->getLoc()->findInstanceOf<FileLineColLoc>())
    where = (" (" + file.getFilename().getValue() + ":" + Twine(file.getLine()) + ":" + Twine(file.getColumn()) + ")")
                .str();
  SmallVector<Attribute> all;
  if (auto known = module->getAttrOfType<ArrayAttr>(tile::kUnselectedAttr))
    llvm::append_range(all, known);
  Builder b(module.getContext());
  all.push_back(b.getStringAttr(op->getName().getStringRef() + where + ": " + reason));
  module->setAttr(tile::kUnselectedAttr, b.getArrayAttr(all));
}

} // namespace stepdown
