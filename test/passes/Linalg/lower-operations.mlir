// RUN: stepdown-opt %s -lower-operations | FileCheck %s

// CHECK-LABEL: func.func @norm_over_heads(
// CHECK:         %[[X:.*]] = tensor.expand_shape %{{.*}} {{\[\[}}0], [1, 2]]
// CHECK:         linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "reduction"]} ins(%[[X]]
// CHECK:           math.fma
// CHECK:         linalg.generic {{.*}}iterator_types = ["parallel", "parallel"]}
// CHECK:           math.sqrt
// CHECK:         linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "parallel"]}
// CHECK-NOT:       math.sqrt
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

// CHECK-LABEL: func.func @scaled_sum(
// CHECK:         %[[S:.*]] = arith.constant 2.200000e-01 : f32
// CHECK:         math.fma %{{.*}}, %[[S]], %{{.*}} : f32
func.func @scaled_sum(%x: tensor<?x12xf32>, %y: tensor<?x12xf32>) -> tensor<?x12xf32> {
  %0 = transformer.add %x, %y {scale = 0.22 : f64} : tensor<?x12xf32>
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

// CHECK-LABEL: func.func @layer_norm_without_bias(
// CHECK:         math.fma
// CHECK-NOT:     math.fma
// CHECK:         return
func.func @layer_norm_without_bias(%x: tensor<3x12xf32>, %w: tensor<12xf32>) -> tensor<3x12xf32> {
  %0 = transformer.layer_norm %x, %w {eps = 1.0e-5 : f64} : tensor<3x12xf32>, tensor<12xf32>
  return %0 : tensor<3x12xf32>
}

// CHECK-LABEL: func.func @gate(
// CHECK:         math.exp
// CHECK:         arith.divf
func.func @gate(%x: tensor<3x12xf32>) -> tensor<3x12xf32> {
  %0 = transformer.gated_activation silu %x, %x : tensor<3x12xf32>
  return %0 : tensor<3x12xf32>
}

// CHECK-LABEL: func.func @clamped_gate(
// CHECK:         arith.minimumf
// CHECK:         arith.maximumf
// CHECK:         arith.minimumf
// CHECK:         math.exp
func.func @clamped_gate(%x: tensor<3x12xf32>) -> tensor<3x12xf32> {
  %0 = transformer.gated_activation clamped_swish %x, %x : tensor<3x12xf32>
  return %0 : tensor<3x12xf32>
}

// CHECK-LABEL: func.func @activation_alone(
// CHECK:         math.erf
// CHECK-NOT:     transformer
func.func @activation_alone(%x: tensor<?x13xf32>) -> tensor<?x13xf32> {
  %0 = transformer.activation gelu_erf %x : tensor<?x13xf32>
  return %0 : tensor<?x13xf32>
}

// CHECK-LABEL: func.func @sigmoid(
// CHECK:         math.exp
// CHECK:         arith.divf
func.func @sigmoid(%x: tensor<?x13xf32>) -> tensor<?x13xf32> {
  %0 = transformer.activation sigmoid %x : tensor<?x13xf32>
  return %0 : tensor<?x13xf32>
}

// CHECK-LABEL: func.func @vector_on_every_row(
// CHECK:         linalg.generic {{.*}}ins(%{{.*}}, %{{.*}} : tensor<?x13xf32>, tensor<13xf32>)
// CHECK:           arith.addf
func.func @vector_on_every_row(%x: tensor<?x13xf32>, %b: tensor<13xf32>) -> tensor<?x13xf32> {
  %0 = transformer.add_bias %x, %b : tensor<?x13xf32>, tensor<13xf32>
  return %0 : tensor<?x13xf32>
}

// Padding is zeros that the mean does not count: 1 / 9 of the sum of 13 columns.
// CHECK-LABEL: func.func @padded_norm(
// CHECK:         arith.constant 0.111111112 : f32
func.func @padded_norm(%x: tensor<?x13xf32>, %w: tensor<13xf32>) -> tensor<?x13xf32> {
  %0 = transformer.rms_norm %x, %w {eps = 1.0e-5 : f64, padding = 4 : i64} : tensor<?x13xf32>, tensor<13xf32>
  return %0 : tensor<?x13xf32>
}

// The product stays whole; what is done with each of its numbers becomes linalg. A product alone is left.
// CHECK-LABEL: func.func @products(
// CHECK:         %[[P:.*]] = transformer.linear %{{[a-z0-9]*}}, %{{[a-z0-9]*}} : (tensor<?x32xf32>, tensor<7x1x!transformer.block<q4_1>>)
// CHECK:         %[[B:.*]] = linalg.generic {{.*}} ins(%[[P]], %{{.*}} : tensor<?x7xf32>, tensor<7xf32>)
// CHECK:           arith.addf
// CHECK:         %[[L:.*]] = linalg.generic {{.*}} ins(%[[B]] : tensor<?x7xf32>)
// CHECK:           math.tanh
// CHECK:         %[[Q:.*]] = transformer.linear
// CHECK:         return %[[L]], %[[Q]]
func.func @products(%x: tensor<?x32xf32>, %w: tensor<7x1x!transformer.block<q4_1>>, %b: tensor<7xf32>) -> (tensor<?x7xf32>, tensor<?x7xf32>) {
  %0 = transformer.logits %x, %w, %b {scale = 0.5 : f64, softcap = 7.0 : f64} : (tensor<?x32xf32>, tensor<7x1x!transformer.block<q4_1>>, tensor<7xf32>) -> tensor<?x7xf32>
  %1 = transformer.linear %x, %w : (tensor<?x32xf32>, tensor<7x1x!transformer.block<q4_1>>) -> tensor<?x7xf32>
  return %0, %1 : tensor<?x7xf32>, tensor<?x7xf32>
}
