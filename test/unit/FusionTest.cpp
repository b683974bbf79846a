// Fusion changes where values are computed, never what: modules of every family before and after, in the reference.
#include "dialects/Transformer/IR/TransformerOps.h"
#include "lib/Checkpoint/Checkpoint.h"
#include "lib/Frontend/Frontend.h"
#include "lib/Pipeline/Phases.h"
#include "lib/Reference/Evaluator.h"
#include "passes/Fusion/Passes.h"
#include "test/unit/MadeModel.h"
#include <gtest/gtest.h>

using namespace stepdown;
using namespace stepdown::reference;

namespace {

/// The logits of `tokens`, from the checkpoint's module after `build` ran on it; `kernels` counts what was fused.
Result<Logits> logitsAfter(const std::string &checkpoint, const std::vector<int32_t> &tokens,
                           llvm::function_ref<void(mlir::OpPassManager &)> build, int &kernels) {
  mlir::DialectRegistry registry;
  registerCompilerDialects(registry);
  mlir::MLIRContext context(registry);
  Result<Checkpoint> gguf = Checkpoint::open(checkpoint);
  if (!gguf)
    return gguf.error();
  FrontendOptions options;
  options.kvType = "f32";
  Result<mlir::OwningOpRef<mlir::ModuleOp>> module = buildModule(context, *gguf, options);
  if (!module)
    return module.error();
  mlir::PassManager manager(&context);
  build(manager);
  if (mlir::failed(manager.run(**module)))
    return fail(ErrorCode::PhaseFailed, "%s: the passes failed", checkpoint.c_str());
  (*module)->walk(
      [&](transformer::KernelOp kernel) { kernels += !kernel.getBody().front().without_terminator().empty(); });
  return evaluate(**module, *gguf, tokens, Precision::Float64);
}

TEST(Fusion, AFusedModuleMeansWhatTheUnfusedOneMeans) {
  const std::vector<int32_t> tokens = {3, 77, 200, 4, 9, 310, 11, 5, 42, 42, 120, 8};
  for (const char *options :
       {"--family llama --type Q4_0", "--family llama --type F16 --bias --head untied --fused-qkv",
        "--family qwen2 --type Q8_0", "--family qwen3 --type Q5_1 --head-dim 32",
        "--family gemma3 --type Q4_1 --layers 6 --window 4 --softcap 10", "--family phi3 --type Q8_0",
        // Sizes that are no whole tile: fusion pads them, and pads with nothing that shows.
        "--family llama --type F16 --width 37 --ffn 53 --heads 3 --kv-heads 1 --head-dim 13 --rope-dims 6 --bias",
        "--family gemma3 --type BF16 --width 43 --ffn 61 --heads 5 --kv-heads 5 --head-dim 22 --window 3 --head untied",
        "--family qwen3 --type Q8_0 --width 96 --ffn 101 --heads 8 --kv-heads 2 --head-dim 20 --fused-qkv",
        "--family phi3 --type Q4_0 --width 32 --ffn 29 --heads 7 --kv-heads 7 --head-dim 40 --rope-dims 8",
        "--family qwen3moe --type F16 --experts 5 --used 3 --expert-ffn 29"})
    for (bool exact : {true, false}) {
      SCOPED_TRACE(std::string(options) + (exact ? " exact" : ""));
      const std::string checkpoint = makeModel(options);
      int plainKernels = 0, fusedKernels = 0;
      Result<Logits> plain = logitsAfter(
          checkpoint, tokens,
          [&](mlir::OpPassManager &manager) {
            manager.nest<mlir::func::FuncOp>().addPass(createQuantizeActivations({exact}));
          },
          plainKernels);
      Result<Logits> fused = logitsAfter(
          checkpoint, tokens,
          [&](mlir::OpPassManager &manager) {
            PhaseOptions phase;
            phase.exact = exact;
            const Road &road = *roadOf(Input::Model, *phase.target);
            buildPhase(road, *road.find("fusion"), manager, phase);
          },
          fusedKernels);
      ASSERT_TRUE(bool(plain)) << plain.error().text();
      ASSERT_TRUE(bool(fused)) << fused.error().text();
      EXPECT_EQ(plainKernels, 0);
      EXPECT_GE(fusedKernels, 6);
      EXPECT_EQ(plain->values, fused->values);
    }
}

} // namespace
