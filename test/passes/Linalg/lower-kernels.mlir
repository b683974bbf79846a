// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -lower-kernels | FileCheck %s

!a = tensor<?x2x!transformer.activation<q8>>
!w = tensor<32x2x!transformer.block<q4_1>>

// The weight is an argument of packed blocks, 16 rows in each; equal kernels share their functions.
// CHECK-LABEL: func.func @equal_kernels
// CHECK: transformer.dispatch @linear_0(
// CHECK: transformer.dispatch @linear_0(
// CHECK: module @kernels
// A function for each bucket of the target: one token, then tiles of 4 and of 16.
// CHECK: func.func @linear_0_b0(%{{.*}}: tensor<?x?x!transformer.activation<q8>>, %{{.*}}: tensor<?x?x!transformer.block<q4_1, rows = 16>>
// CHECK-SAME: tile.tiling = #tile.tiling<parts = {{\[\[}}1, 0]], arguments = {{\[\[}}1 by 1, whole], [0 by 1, whole], [1 by 1, whole, 0 by 1]]>
// CHECK: linalg.generic {{.*}} ["parallel", "parallel", "parallel", "reduction"]
// CHECK: tile.block_dot
// CHECK: func.func @linear_0_b1(%{{.*}}: tensor<?x?x!transformer.activation<q8, tokens = 4>>
// CHECK: func.func @linear_0_b2(
// CHECK-NOT: func.func
func.func @equal_kernels(%a: !a, %w: !w, %u: !w) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
  %0 = transformer.kernel "linear" (%x = %a : !a, %m = %w : !w) -> (tensor<?x32xf32>) {
    %2 = transformer.linear %x, %m : (!a, !w) -> tensor<?x32xf32>
    transformer.yield %2 : tensor<?x32xf32>
  }
  %1 = transformer.kernel "linear" (%x = %a : !a, %m = %u : !w) -> (tensor<?x32xf32>) {
    %2 = transformer.linear %x, %m : (!a, !w) -> tensor<?x32xf32>
    transformer.yield %2 : tensor<?x32xf32>
  }
  return %0, %1 : tensor<?x32xf32>, tensor<?x32xf32>
}

// -----

// What reads selected rows has a row for each of them, not for each token.
// CHECK-LABEL: func.func @selected_rows
// CHECK: transformer.dispatch @norm_0({{.*}} {by_rows}
func.func @selected_rows(%x: tensor<?x32xf32>, %rows: tensor<?xi32>, %w: tensor<32xf32>) -> tensor<?x32xf32> {
  %0 = transformer.kernel "norm" (%a = %x : tensor<?x32xf32>, %r = %rows : tensor<?xi32>, %n = %w : tensor<32xf32>) -> (tensor<?x32xf32>) {
    %1 = transformer.select_rows %a, %r : (tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x32xf32>
    %2 = transformer.rms_norm %1, %n {eps = 1.0e-5 : f64} : tensor<?x32xf32>, tensor<32xf32>
    transformer.yield %2 : tensor<?x32xf32>
  }
  return %0 : tensor<?x32xf32>
}

// -----

func.func @operation_of_the_program(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
  %0 = transformer.kernel "odd" (%a = %x : tensor<?x32xf32>) -> (tensor<?x32xf32>) {
    // expected-error @+1 {{expects an operation that the linalg stage can lower inside a kernel}}
    %1 = transformer.dispatch @other(%a) sources [0, 0] dims [array<i64: -1, 2>] : (tensor<?x32xf32>) -> tensor<?x32xf32>
    transformer.yield %1 : tensor<?x32xf32>
  }
  return %0 : tensor<?x32xf32>
}
