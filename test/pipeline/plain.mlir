// RUN: stepdown-opt %s -phase-linalg=input=functions | FileCheck %s --check-prefix=LINALG
// RUN: stepdown-opt %s -phase-linalg=input=functions -phase-tiles=input=functions -phase-buffers=input=functions | FileCheck %s --check-prefix=BUFFERS
// RUN: stepdown-opt %s -phase-linalg=input=functions -phase-tiles=input=functions -phase-buffers=input=functions -phase-vector=input=functions -phase-cpu=input=functions | FileCheck %s --check-prefix=CPU

// Functions of a plain module take a road of their own, and what they call becomes part of them.
// LINALG-NOT:   func.func private
// LINALG-LABEL: func.func @twice_sum(
// LINALG-NOT:     = call
// LINALG:         linalg.generic
// LINALG:           arith.addf
// LINALG:           arith.addf
// LINALG-NOT:     linalg.generic
// BUFFERS-LABEL: func.func @twice_sum(
// BUFFERS-SAME:    %{{.*}}: memref<4xf32>) -> memref<4xf32>
// CPU-LABEL: llvm.func @twice_sum(
// CPU-SAME:    %{{.*}}: !llvm.ptr, %{{.*}}: i64, %{{.*}}: i64)
// CPU-NOT:     llvm.call
module attributes {transformer.plain} {
  module @kernels {
    func.func private @sum(%x: tensor<4xf32>) -> tensor<4xf32> {
      %0 = linalg.map { arith.addf } ins(%x, %x : tensor<4xf32>, tensor<4xf32>) outs(%x : tensor<4xf32>)
      return %0 : tensor<4xf32>
    }
    func.func @twice_sum(%x: tensor<4xf32> {bufferization.writable = false}) -> tensor<4xf32> {
      %0 = call @sum(%x) : (tensor<4xf32>) -> tensor<4xf32>
      %1 = call @sum(%0) : (tensor<4xf32>) -> tensor<4xf32>
      return %1 : tensor<4xf32>
    }
  }
}
