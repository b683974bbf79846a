#include "dialects/Transformer/IR/FusionRemarks.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;

namespace stepdown {

static constexpr llvm::StringLiteral kCategory = "fusion", kEdge = "Edge", kReason = "Reason";

static std::string edgeOf(Operation *producer, OpOperand &use) {
  Operation *reader = use.getOwner();
  std::string text;
  llvm::raw_string_ostream(text) << producer->getName() << " " << producer->getLoc() << " -> " << reader->getName()
                                 << " " << reader->getLoc() << " operand " << use.getOperandNumber();
  return text;
}

static StringRef functionOf(Operation *op) { return op->getParentOfType<FunctionOpInterface>().getName(); }
static std::string keyOf(StringRef function, StringRef edge) { return (function + " " + edge).str(); }

void remarkApart(Operation *producer, OpOperand &use, const Twine &why) {
  Operation *reader = use.getOwner();
  auto remark = remark::missed(reader->getLoc(),
                               remark::RemarkOpts::name("apart").category(kCategory).function(functionOf(reader)));
  if (remark)
    remark << remark::metric(kEdge, edgeOf(producer, use)) << remark::metric(kReason, why.str());
}

class FusionRemarks::Listener : public remark::detail::MLIRRemarkStreamerBase {
public:
  explicit Listener(FusionRemarks &remarks) : remarks(remarks) {}

  void streamOptimizationRemark(const remark::detail::Remark &remark) override {
    StringRef edge, reason;
    for (const auto &arg : remark.getArgs())
      (arg.key == kEdge ? edge : reason) = arg.val;
    std::lock_guard<std::mutex> lock(remarks.mutex);
    remarks.said.try_emplace(keyOf(remark.getFunction(), edge), reason);
  }

private:
  FusionRemarks &remarks;
};

void FusionRemarks::listenTo(MLIRContext &context) {
  remark::RemarkCategories categories;
  categories.missed = kCategory.str();
  // Refuses only where no listener is given.
  (void)remark::enableOptimizationRemarks(context, std::make_unique<Listener>(*this),
                                          std::make_unique<remark::RemarkEmittingPolicyAll>(), categories);
}

StringRef FusionRemarks::whyApart(Operation *producer, OpOperand &use) const {
  auto at = said.find(keyOf(functionOf(use.getOwner()), edgeOf(producer, use)));
  if (at != said.end())
    return at->second;
  return missed ? "fusion ran before this IR was printed" : "no fusion joins the two";
}

} // namespace stepdown
