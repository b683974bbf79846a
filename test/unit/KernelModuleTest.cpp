// gpu.module text -> LLVM of its chip.
#include "lib/CodeGen/KernelModule.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include <gtest/gtest.h>

using namespace stepdown;

namespace {
constexpr const char *source = R"(module attributes {gpu.container_module} {
gpu.module @kernels {
  llvm.mlir.global external @smem() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>
  llvm.func @twice(%out: !llvm.ptr<1>, %n: i32) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32, 1, 1>} {
    %c0 = arith.constant 0 : i32
    %c1 = arith.constant 1 : i32
    %tid = nvvm.read.ptx.sreg.tid.x : i32
    scf.for %i = %c0 to %n step %c1 : i32 {
      %x = arith.addi %tid, %i : i32
      llvm.inline_asm has_side_effects "bar.warp.sync $0;", "r" %x : (i32) -> ()
      %p = llvm.getelementptr %out[%x] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32
      llvm.store %x, %p : i32, !llvm.ptr<1>
    }
    llvm.return
  }
}
})";
} // namespace

TEST(KernelModule, LowersAndKeepsLines) {
  auto made = translateKernels(source, "twice.mlir", "sm_90a");
  ASSERT_TRUE(made) << made.error().text();
  EXPECT_EQ(made->kernels, std::vector<std::string>{"twice"});
  EXPECT_EQ(made->module->getTargetTriple().str(), "nvptx64-nvidia-cuda");
  int assembly = 0, stores = 0;
  for (llvm::Instruction &instruction : llvm::instructions(*made->module->getFunction("twice"))) {
    if (auto *call = llvm::dyn_cast<llvm::CallBase>(&instruction); call && call->isInlineAsm()) {
      ++assembly;
      EXPECT_TRUE(call->isConvergent());
      ASSERT_TRUE(call->getDebugLoc());
      EXPECT_EQ(call->getDebugLoc().getLine(), 10u);
      EXPECT_EQ(call->getDebugLoc()->getFilename(), "twice.mlir");
    }
    stores += llvm::isa<llvm::StoreInst>(instruction);
  }
  EXPECT_GE(assembly, 1);
  EXPECT_GE(stores, 1);
}

TEST(KernelModule, RefusesWithTheLine) {
  auto chip = translateKernels(source, "twice.mlir", "sm_91");
  ASSERT_FALSE(chip);
  EXPECT_EQ(
      chip.error().text(),
      "error E1000: chip: expects one of sm_80, sm_90a, gfx90a, gfx942, gfx950, gfx1100, gfx1201, but got \"sm_91\"");
  auto none = translateKernels("module {}", "none.mlir", "sm_90a");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().text(), "error E1000: none.mlir: expects a gpu.module, but there is none");
  auto text = translateKernels("module {\n  oops\n}", "bad.mlir", "sm_90a");
  ASSERT_FALSE(text);
  EXPECT_NE(text.error().message.find("\"bad.mlir\":2:3"), std::string::npos) << text.error().message;
}
