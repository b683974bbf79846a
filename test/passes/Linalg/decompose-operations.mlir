// RUN: stepdown-opt %s -decompose-operations | FileCheck %s

// CHECK-LABEL: func.func @norm_over_heads(
// CHECK:         %[[X:.*]] = tensor.expand_shape %{{.*}} {{\[\[}}0], [1, 2]]
// CHECK:         linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "reduction"]} ins(%[[X]]
// CHECK:           math.fma
// CHECK:         linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "parallel"]}
// CHECK:           math.sqrt
// CHECK:         tensor.collapse_shape
func.func @norm_over_heads(%x: tensor<?x12xf32>, %w: tensor<4xf32>) -> tensor<?x12xf32> {
  %0 = transformer.rms_norm %x, %w {eps = 1.0e-5 : f64} : tensor<?x12xf32>, tensor<4xf32>
  return %0 : tensor<?x12xf32>
}

// CHECK-LABEL: func.func @sum(
// CHECK-NOT:     transformer
// CHECK:         arith.addf
func.func @sum(%x: tensor<?x12xf32>, %y: tensor<?x12xf32>) -> tensor<?x12xf32> {
  %0 = transformer.add %x, %y : tensor<?x12xf32>
  return %0 : tensor<?x12xf32>
}

// CHECK-LABEL: func.func @layer_norm_sums_twice(
// CHECK-COUNT-2: "reduction"
// CHECK-NOT:     "reduction"
// CHECK:         return
func.func @layer_norm_sums_twice(%x: tensor<3x12xf32>, %w: tensor<12xf32>, %b: tensor<12xf32>) -> tensor<3x12xf32> {
  %0 = transformer.layer_norm %x, %w, %b {eps = 1.0e-5 : f64} : tensor<3x12xf32>, tensor<12xf32>, tensor<12xf32>
  return %0 : tensor<3x12xf32>
}

// CHECK-LABEL: func.func @gate(
// CHECK:         math.exp
// CHECK:         arith.divf
func.func @gate(%x: tensor<3x12xf32>) -> tensor<3x12xf32> {
  %0 = transformer.gated_activation silu %x, %x : tensor<3x12xf32>
  return %0 : tensor<3x12xf32>
}

// CHECK-LABEL: func.func @aggregates(
// CHECK-NOT:     linalg.softmax
// CHECK-NOT:     tensor.concat
// CHECK:         tensor.insert_slice
// CHECK:         math.exp
func.func @aggregates(%x: tensor<3x12xf32>, %o: tensor<6x12xf32>) -> tensor<6x12xf32> {
  %0 = tensor.concat dim(0) %x, %x : (tensor<3x12xf32>, tensor<3x12xf32>) -> tensor<6x12xf32>
  %1 = linalg.softmax dimension(1) ins(%0 : tensor<6x12xf32>) outs(%o : tensor<6x12xf32>) -> tensor<6x12xf32>
  return %1 : tensor<6x12xf32>
}
