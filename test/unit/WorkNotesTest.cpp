// A fault inside a pattern names the operation that it was at, and where that was written.
#include "lib/Driver/WorkNotes.h"
#include "lib/Base/PartFile.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include <csignal>
#include <gtest/gtest.h>

using namespace mlir;

namespace stepdown {
namespace {

constexpr char kText[] = "func.func @f(%x: i32) -> i32 {\n"
                         "  %0 = arith.addi %x, %x : i32\n"
                         "  %1 = arith.muli %0, %x : i32\n"
                         "  return %1 : i32\n"
                         "}\n";

struct Faulty : OpRewritePattern<arith::MulIOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::MulIOp, PatternRewriter &) const override {
    raise(SIGSEGV);
    return failure();
  }
};

struct FaultyPass : PassWrapper<FaultyPass, OperationPass<func::FuncOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(FaultyPass)
  explicit FaultyPass(bool inPattern) : inPattern(inPattern) {}
  StringRef getArgument() const override { return "be-faulty"; }
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    if (inPattern)
      patterns.add<Faulty>(&getContext());
    (void)applyPatternsGreedily(getOperation(), std::move(patterns));
    raise(SIGSEGV);
  }
  bool inPattern;
};

void runFaulty(bool inPattern) {
  removePartFilesOnSignals("test");
  explainFaults("m.mlir");
  MLIRContext context(MLIRContext::Threading::DISABLED);
  context.loadDialect<func::FuncDialect, arith::ArithDialect>();
  notePatterns(context);
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(kText, ParserConfig(&context), "m.mlir");
  PassManager manager(&context);
  manager.addNestedPass<func::FuncOp>(std::make_unique<FaultyPass>(inPattern));
  notePasses(manager);
  (void)manager.run(*module);
}

TEST(WorkNotesDeathTest, aFaultInAPatternNamesItsOperation) {
  EXPECT_EXIT(runFaulty(true), testing::ExitedWithCode(1),
              "E0835: m.mlir: .* in be-faulty of @f, m.mlir:1:1 at 'arith.muli', m.mlir:3:8; nothing was written");
}

TEST(WorkNotesDeathTest, aFaultBehindThemNamesNone) {
  EXPECT_EXIT(runFaulty(false), testing::ExitedWithCode(1), "in be-faulty of @f, m.mlir:1:1; nothing was written");
}

} // namespace
} // namespace stepdown
