// RUN: stepdown-opt %s -wrap-kernels | FileCheck %s

!rows = tensor<?x32xf32>

// CHECK-LABEL: @operation_by_itself
// CHECK: transformer.kernel "embedding"
// CHECK-NEXT: transformer.embedding
// CHECK-NEXT: transformer.yield
func.func @operation_by_itself(%tokens: tensor<?xi32>, %table: tensor<96x1x!transformer.block<q8_0>>) -> !rows {
  %0 = transformer.embedding %tokens, %table : (tensor<?xi32>, tensor<96x1x!transformer.block<q8_0>>) -> !rows
  return %0 : !rows
}

// What declares, repeats or is a kernel already stays.
// CHECK-LABEL: @nothing_to_wrap
// CHECK: transformer.weight
// CHECK-NEXT: transformer.kernel "norm"
// CHECK-NEXT: transformer.rms_norm
// CHECK-NOT: transformer.kernel
// CHECK: return
func.func @nothing_to_wrap(%x: !rows) -> !rows {
  %w = transformer.weight "output_norm.weight" : tensor<32xf32>
  %0 = transformer.kernel "norm" (%a = %x : !rows, %n = %w : tensor<32xf32>) -> (!rows) {
    %1 = transformer.rms_norm %a, %n {eps = 1.0e-5 : f64} : !rows, tensor<32xf32>
    transformer.yield %1 : !rows
  }
  return %0 : !rows
}
