// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -quantize-activations | FileCheck %s
// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -quantize-activations=exact | FileCheck %s --check-prefix=EXACT
// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -quantize-activations=activations=q8x2 | FileCheck %s --check-prefix=TWO
// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -quantize-activations=activations=q8 | FileCheck %s --check-prefix=ONE

// Layers that read the same rows share their blocks.
// CHECK-LABEL: @quantised_weights
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<?x64xf32>
// CHECK: %[[A:.*]] = transformer.quantize %[[X]] : tensor<?x64xf32> -> tensor<?x2x!transformer.activation<q8{{.*}}>>
// CHECK-NOT: transformer.quantize
// CHECK: transformer.linear %[[A]]
// CHECK: transformer.linear %[[A]]
// EXACT-LABEL: @quantised_weights
// EXACT: transformer.quantize {{.*}} -> tensor<?x2x!transformer.activation<f32>>
// EXACT-NOT: transformer.quantize
// EXACT-LABEL: @mixed_weights
func.func @quantised_weights(%x: tensor<?x64xf32>, %q: tensor<32x2x!transformer.block<q4_1>>,
                             %k: tensor<16x2x!transformer.block<q8_0>>) -> (tensor<?x32xf32>, tensor<?x16xf32>) {
  %0 = transformer.linear %x, %q : (tensor<?x64xf32>, tensor<32x2x!transformer.block<q4_1>>) -> tensor<?x32xf32>
  %1 = transformer.linear %x, %k : (tensor<?x64xf32>, tensor<16x2x!transformer.block<q8_0>>) -> tensor<?x16xf32>
  return %0, %1 : tensor<?x32xf32>, tensor<?x16xf32>
}

// -----

// A weight of each kind: the rows are packed twice.
// CHECK-LABEL: @mixed_weights
// CHECK-DAG: transformer.quantize {{.*}} -> tensor<?x1x!transformer.activation<q8{{.*}}>>
// CHECK-DAG: transformer.quantize {{.*}} -> tensor<?x1x!transformer.activation<f32>>
func.func @mixed_weights(%x: tensor<?x32xf32>, %q: tensor<32x1x!transformer.block<q4_1>>,
                         %k: tensor<16x32x!transformer.block<f16>>) -> (tensor<?x32xf32>, tensor<?x16xf32>) {
  %0 = transformer.linear %x, %q : (tensor<?x32xf32>, tensor<32x1x!transformer.block<q4_1>>) -> tensor<?x32xf32>
  %1 = transformer.linear %x, %k : (tensor<?x32xf32>, tensor<16x32x!transformer.block<f16>>) -> tensor<?x16xf32>
  return %0, %1 : tensor<?x32xf32>, tensor<?x16xf32>
}

// -----

// A weight of bfloat16 reads two bfloat16 for a value, or one where another weight reads one code.
// CHECK-LABEL: @bfloats
// CHECK: transformer.quantize {{.*}} -> tensor<?x1x!transformer.activation<bf16x2>>
// TWO-LABEL: @bfloats
// TWO: activation<bf16x2>>
// ONE-LABEL: @bfloats
// ONE: activation<bf16>>
// EXACT-LABEL: @bfloats
// EXACT: activation<f32>>
func.func @bfloats(%x: tensor<?x31xf32>, %w: tensor<13x31x!transformer.block<bf16>>) -> tensor<?x13xf32> {
  %0 = transformer.linear %x, %w : (tensor<?x31xf32>, tensor<13x31x!transformer.block<bf16>>) -> tensor<?x13xf32>
  return %0 : tensor<?x13xf32>
}

// -----

// Before and behind an activation it reads one.
// CHECK-LABEL: @bfloats_around
// CHECK: transformer.quantize %{{.*}} -> tensor<?x1x!transformer.activation<bf16>>
// CHECK: transformer.activation gelu_erf
// CHECK: transformer.quantize %{{.*}} -> tensor<?x1x!transformer.activation<bf16>>
// TWO-LABEL: @bfloats_around
// TWO-COUNT-2: activation<bf16x2>>
func.func @bfloats_around(%x: tensor<?x31xf32>, %u: tensor<13x31x!transformer.block<bf16>>, %d: tensor<31x13x!transformer.block<bf16>>) -> tensor<?x31xf32> {
  %0 = transformer.linear %x, %u : (tensor<?x31xf32>, tensor<13x31x!transformer.block<bf16>>) -> tensor<?x13xf32>
  %1 = transformer.activation gelu_erf %0 : tensor<?x13xf32>
  %2 = transformer.linear %1, %d : (tensor<?x13xf32>, tensor<31x13x!transformer.block<bf16>>) -> tensor<?x31xf32>
  return %2 : tensor<?x31xf32>
}

// -----

// Before and behind a gated activation, outliers have more bits; elsewhere every value has two codes.
// CHECK-LABEL: @feed_forward
// CHECK: transformer.quantize %{{.*}} -> tensor<?x2x!transformer.activation<q8o2>>
// CHECK: transformer.gated_activation
// CHECK: transformer.quantize %{{.*}} -> tensor<?x4x!transformer.activation<q8o2>>
// CHECK: transformer.quantize %{{.*}} -> tensor<?x2x!transformer.activation<q8x2>>
// TWO-LABEL: @feed_forward
// TWO-COUNT-3: activation<q8x2>>
func.func @feed_forward(%x: tensor<?x64xf32>, %g: tensor<128x2x!transformer.block<q4_1>>, %u: tensor<128x2x!transformer.block<q4_1>>,
                        %d: tensor<64x4x!transformer.block<q4_1>>, %o: tensor<64x2x!transformer.block<q4_1>>) -> tensor<?x64xf32> {
  %0 = transformer.linear %x, %g : (tensor<?x64xf32>, tensor<128x2x!transformer.block<q4_1>>) -> tensor<?x128xf32>
  %1 = transformer.linear %x, %u : (tensor<?x64xf32>, tensor<128x2x!transformer.block<q4_1>>) -> tensor<?x128xf32>
  %2 = transformer.gated_activation silu %0, %1 : tensor<?x128xf32>
  %3 = transformer.linear %2, %d : (tensor<?x128xf32>, tensor<64x4x!transformer.block<q4_1>>) -> tensor<?x64xf32>
  %4 = transformer.linear %3, %o : (tensor<?x64xf32>, tensor<64x2x!transformer.block<q4_1>>) -> tensor<?x64xf32>
  return %4 : tensor<?x64xf32>
}

// -----

// What is packed already stays.
// CHECK-LABEL: @packed_before
// CHECK-NOT: transformer.quantize
func.func @packed_before(%a: tensor<?x1x!transformer.activation<q8>>, %w: tensor<96x1x!transformer.block<q8_0>>) -> tensor<?x96xf32> {
  %0 = transformer.logits %a, %w : (tensor<?x1x!transformer.activation<q8>>, tensor<96x1x!transformer.block<q8_0>>) -> tensor<?x96xf32>
  return %0 : tensor<?x96xf32>
}

// -----

// Whatever a row has behind its last whole block is a block too, filled up with zeros.
// CHECK-LABEL: @rows_of_half_a_block
// CHECK: transformer.quantize %{{.*}} : tensor<?x43xf32> -> tensor<?x2x!transformer.activation<f32>>
func.func @rows_of_half_a_block(%x: tensor<?x43xf32>, %w: tensor<16x43x!transformer.block<f32>>) -> tensor<?x16xf32> {
  %0 = transformer.linear %x, %w : (tensor<?x43xf32>, tensor<16x43x!transformer.block<f32>>) -> tensor<?x16xf32>
  return %0 : tensor<?x16xf32>
}

// -----

// A token's experts read its blocks alone, side by side with no other token's.
// CHECK-LABEL: @experts
// CHECK: transformer.quantize %{{.*}} by_token : tensor<?x64xf32> -> tensor<?x2x!transformer.activation<q8{{.*}}>>
// EXACT-LABEL: @experts
// EXACT: transformer.quantize %{{.*}} by_token : tensor<?x64xf32> -> tensor<?x2x!transformer.activation<f32>>
func.func @experts(%x: tensor<?x64xf32>, %i: tensor<?x2xi32>, %w: tensor<96x2x!transformer.block<q4_1>>) -> tensor<?x64xf32> {
  %0 = transformer.expert_linear %x, %i, %w {experts = 3 : i64}
      : (tensor<?x64xf32>, tensor<?x2xi32>, tensor<96x2x!transformer.block<q4_1>>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

// What an adapter adds to gate and up does not change what they read.
// CHECK-LABEL: @adapted_feed_forward
// CHECK: transformer.quantize %{{.*}} -> tensor<?x2x!transformer.activation<q8o2>>
// CHECK: transformer.gated_activation
func.func @adapted_feed_forward(%x: tensor<?x64xf32>, %s: tensor<?xi32>, %g: tensor<128x2x!transformer.block<q4_1>>, %u: tensor<128x2x!transformer.block<q4_1>>,
                                %a: tensor<3x64x16xf16>, %b: tensor<3x5x128xf16>) -> tensor<?x128xf32> {
  %0 = transformer.linear %x, %g : (tensor<?x64xf32>, tensor<128x2x!transformer.block<q4_1>>) -> tensor<?x128xf32>
  %1 = transformer.adapt %0, %x, %s, %a, %b : (tensor<?x128xf32>, tensor<?x64xf32>, tensor<?xi32>, tensor<3x64x16xf16>, tensor<3x5x128xf16>) -> tensor<?x128xf32>
  %2 = transformer.linear %x, %u : (tensor<?x64xf32>, tensor<128x2x!transformer.block<q4_1>>) -> tensor<?x128xf32>
  %3 = transformer.adapt %2, %x, %s, %a, %b : (tensor<?x128xf32>, tensor<?x64xf32>, tensor<?xi32>, tensor<3x64x16xf16>, tensor<3x5x128xf16>) -> tensor<?x128xf32>
  %4 = transformer.gated_activation silu %1, %3 : tensor<?x128xf32>
  return %4 : tensor<?x128xf32>
}
