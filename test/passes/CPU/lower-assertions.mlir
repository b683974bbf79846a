// RUN: stepdown-opt %s -pass-pipeline='builtin.module(builtin.module(lower-assertions))' | FileCheck %s

// CHECK-DAG: llvm.mlir.global internal constant @[[TEXT:.*]]("sizes differ ({{.*}}lower-assertions.mlir:20:7)\00")

// Both checks of the arena end in one block.
// CHECK-LABEL: func.func @ends_the_call(
// CHECK:         cf.cond_br %{{.*}}, ^[[NEXT:.*]], ^[[FAILED:.*]]
// CHECK:       ^[[NEXT]]:
// CHECK:         cf.cond_br %{{.*}}, ^{{.*}}, ^[[ARENA:.*]]
// CHECK:         cf.cond_br %{{.*}}, ^{{.*}}, ^[[ARENA]]
// CHECK:       ^[[FAILED]]:
// CHECK:         %[[ADDRESS:.*]] = llvm.mlir.addressof @[[TEXT]]
// CHECK:         llvm.ptrtoint %[[ADDRESS]]
// CHECK:         return
// CHECK:       ^[[ARENA]]:
// CHECK:         llvm.mlir.constant(-1 : i64)
module {
  module @kernels {
    func.func @ends_the_call(%operands: !llvm.ptr, %thread: i64, %ok: i1) {
      cf.assert %ok, "sizes differ"
      cf.assert %ok, "stepdown: the arena is too small"
      cf.assert %ok, "stepdown: the arena is too small"
      return
    }
  }
}
