// RUN: stepdown-opt %s -split-input-file -pass-pipeline='builtin.module(gpu.module(name-intrinsics))' | FileCheck %s

gpu.module @kernels {
  gpu.func @roots(%x: f64, %y: memref<f64>) kernel {
    %0 = math.sqrt %x : f64
    memref.store %0, %y[] : memref<f64>
    gpu.return
  }
}
// CHECK-LABEL: gpu.func @roots(
// CHECK-SAME: %[[X:.*]]: f64,
// CHECK: llvm.call_intrinsic "llvm.sqrt"(%[[X]]) : (f64) -> f64

// -----

gpu.module @kernels {
  gpu.func @others(%x: f32, %i: i8, %y: memref<f32>, %j: memref<i8>) kernel {
    %0 = math.roundeven %x : f32
    %1 = math.fma %0, %x, %x : f32
    %2 = math.copysign %1, %x : f32
    %3 = math.ctlz %i : i8
    %4 = math.ctpop %3 : i8
    memref.store %2, %y[] : memref<f32>
    memref.store %4, %j[] : memref<i8>
    gpu.return
  }
}
// CHECK-LABEL: gpu.func @others
// CHECK: llvm.call_intrinsic "llvm.roundeven"(%{{.*}}) : (f32) -> f32
// CHECK: llvm.call_intrinsic "llvm.fma"(%{{.*}}, %{{.*}}, %{{.*}}) : (f32, f32, f32) -> f32
// CHECK: llvm.call_intrinsic "llvm.copysign"
// CHECK: %[[NO:.*]] = llvm.mlir.constant(false) : i1
// CHECK: llvm.call_intrinsic "llvm.ctlz"(%{{.*}}, %[[NO]]) : (i8, i1) -> i8
// CHECK: llvm.call_intrinsic "llvm.ctpop"(%{{.*}}) : (i8) -> i8
// CHECK-NOT: math.

// -----

gpu.module @kernels {
  gpu.func @largest(%x: f32, %i: index, %y: memref<f32>, %j: memref<index>) kernel {
    %0 = arith.maxnumf %x, %x : f32
    %1 = arith.minimumf %0, %x : f32
    %2 = math.ctpop %i : index
    memref.store %1, %y[] : memref<f32>
    memref.store %2, %j[] : memref<index>
    gpu.return
  }
}
// CHECK-LABEL: gpu.func @largest
// CHECK: llvm.call_intrinsic "llvm.maxnum"(%{{.*}}, %{{.*}}) : (f32, f32) -> f32
// CHECK: llvm.call_intrinsic "llvm.minimum"
// CHECK: %[[I:.*]] = arith.index_cast %{{.*}} : index to i64
// CHECK: %[[COUNT:.*]] = llvm.call_intrinsic "llvm.ctpop"(%[[I]]) : (i64) -> i64
// CHECK: arith.index_cast %[[COUNT]] : i64 to index

// -----

gpu.module @kernels {
  gpu.func @halves_away(%x: f32, %y: memref<f32>) kernel {
    %0 = math.round %x : f32
    memref.store %0, %y[] : memref<f32>
    gpu.return
  }
}
// CHECK-LABEL: gpu.func @halves_away
// CHECK: llvm.call_intrinsic "llvm.round"
