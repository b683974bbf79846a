// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -pad-sizes | FileCheck %s

// CHECK-LABEL: func.func @sizes_that_fit
// CHECK-SAME: tensor<?x64xf32>
// CHECK-NEXT: transformer.weight "w" : tensor<32x2x!transformer.block<q4_0>>
// CHECK-NEXT: transformer.linear %{{.*}} -> tensor<?x32xf32>
func.func @sizes_that_fit(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
  %w = transformer.weight "w" : tensor<32x2x!transformer.block<q4_0>>
  %0 = transformer.linear %x, %w : (tensor<?x64xf32>, tensor<32x2x!transformer.block<q4_0>>) -> tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}

// -----

// Rows of weight and bias end with zeros, columns of float weights too.
// CHECK-LABEL: func.func @odd_linear
// CHECK-SAME: (%{{.*}}: tensor<?x2x!transformer.activation<f32>>) -> tensor<?x32xf32>
// CHECK-DAG: transformer.weight "b" groups [29, 32] : tensor<32xf32>
// CHECK-DAG: transformer.weight "w" groups [29, 32] columns 37 : tensor<32x64x!transformer.block<f16>>
// CHECK: transformer.linear %{{.*}} -> tensor<?x32xf32>
func.func @odd_linear(%x: tensor<?x2x!transformer.activation<f32>>) -> tensor<?x29xf32> {
  %w = transformer.weight "w" : tensor<29x37x!transformer.block<f16>>
  %b = transformer.weight "b" : tensor<29xf32>
  %0 = transformer.linear %x, %w, %b
      : (tensor<?x2x!transformer.activation<f32>>, tensor<29x37x!transformer.block<f16>>, tensor<29xf32>) -> tensor<?x29xf32>
  return %0 : tensor<?x29xf32>
}

// -----

// CHECK-LABEL: func.func @odd_vector_on_every_row
// CHECK: %[[B:.*]] = transformer.weight "b" groups [37, 64] : tensor<64xf32>
// CHECK: transformer.add_bias %{{.*}}, %[[B]] : tensor<?x64xf32>, tensor<64xf32>
func.func @odd_vector_on_every_row(%x: tensor<?x37xf32>) -> tensor<?x37xf32> {
  %b = transformer.weight "b" : tensor<37xf32>
  %0 = transformer.add_bias %x, %b : tensor<?x37xf32>, tensor<37xf32>
  return %0 : tensor<?x37xf32>
}

// -----

// The mean of a norm counts the columns that there are.
// CHECK-LABEL: func.func @odd_norm
// CHECK: %[[W:.*]] = transformer.weight "w" groups [37, 64] : tensor<64xf32>
// CHECK: transformer.rms_norm %{{.*}}, %[[W]] {eps = 1.000000e-05 : f64, padding = 27 : i64} : tensor<?x64xf32>, tensor<64xf32>
func.func @odd_norm(%x: tensor<?x37xf32>) -> tensor<?x37xf32> {
  %w = transformer.weight "w" : tensor<37xf32>
  %0 = transformer.rms_norm %x, %w {eps = 1.0e-5 : f64} : tensor<?x37xf32>, tensor<37xf32>
  return %0 : tensor<?x37xf32>
}

// -----

!a = tensor<?x1x!transformer.activation<f32>>
!cache = !transformer.cache<heads = 2, key = 13, value = 13, element = f16>

// Each head by itself has whole vectors: what feeds heads, rotates and norms them, and the cache. Blocks are packed without the gaps.
// CHECK-LABEL: func.func @odd_heads
// CHECK-SAME: !transformer.cache<heads = 2, key = 16, value = 16, element = f16>
// CHECK-DAG: transformer.weight "k" groups [13, 16] columns 31 : tensor<32x32x!transformer.block<f32>>
// CHECK-DAG: transformer.weight "n" groups [13, 16] : tensor<16xf32>
// CHECK: transformer.rms_norm %{{.*}} {eps = 0.000000e+00 : f64, padding = 3 : i64} : tensor<?x32xf32>, tensor<16xf32>
// CHECK: transformer.rope half %{{.*}} {head_dim = 16 : i64, {{.*}}} : tensor<?x32xf32>
// CHECK: transformer.kv_append
// CHECK: transformer.attention %{{.*}} -> tensor<?x32xf32>
// CHECK: transformer.quantize %{{.*}} groups [13, 16] : tensor<?x32xf32> -> tensor<?x1x!transformer.activation<f32>>
func.func @odd_heads(%x: !a, %batch: !transformer.batch, %c: !cache) -> (!a, !cache) {
  %wk = transformer.weight "k" : tensor<26x31x!transformer.block<f32>>
  %n = transformer.weight "n" : tensor<13xf32>
  %0 = transformer.linear %x, %wk : (!a, tensor<26x31x!transformer.block<f32>>) -> tensor<?x26xf32>
  %1 = transformer.rms_norm %0, %n {eps = 0.0 : f64} : tensor<?x26xf32>, tensor<13xf32>
  %2 = transformer.rope half %1, %batch {head_dim = 13 : i64, inverse_frequencies = array<f64: 1.0, 0.5>} : tensor<?x26xf32>
  %3 = transformer.kv_append %2, %2, %batch, %c : tensor<?x26xf32>, tensor<?x26xf32>, !cache
  %4 = transformer.attention %2, %batch, %3 {scale = 0.25 : f64} : (tensor<?x26xf32>, !transformer.batch, !cache) -> tensor<?x26xf32>
  %5 = transformer.quantize %4 : tensor<?x26xf32> -> !a
  return %5, %3 : !a, !cache
}

// -----

// An odd number of small heads: whole vectors, but the last block is filled up.
// CHECK-LABEL: func.func @half_a_block_of_heads
// CHECK: transformer.quantize %{{.*}} groups [16, 16] : tensor<?x48xf32> -> tensor<?x2x!transformer.activation<f32>>
!cache1 = !transformer.cache<heads = 1, key = 16, value = 16, element = f32>
func.func @half_a_block_of_heads(%q: tensor<?x48xf32>, %batch: !transformer.batch, %c: !cache1) -> tensor<?x2x!transformer.activation<f32>> {
  %0 = transformer.attention %q, %batch, %c {scale = 0.25 : f64} : (tensor<?x48xf32>, !transformer.batch, !cache1) -> tensor<?x48xf32>
  %1 = transformer.quantize %0 : tensor<?x48xf32> -> tensor<?x2x!transformer.activation<f32>>
  return %1 : tensor<?x2x!transformer.activation<f32>>
}

// -----

// The columns of logits are the vocabulary; the table that embeds tokens as well is padded once.
// CHECK-LABEL: func.func @logits_stay
// CHECK-SAME: -> (tensor<?x41xf32>, tensor<?x32xf32>)
// CHECK: transformer.weight "e" columns 19 : tensor<41x32x!transformer.block<bf16>>
func.func @logits_stay(%a: tensor<?x1x!transformer.activation<f32>>, %t: tensor<?xi32>) -> (tensor<?x41xf32>, tensor<?x19xf32>) {
  %e = transformer.weight "e" : tensor<41x19x!transformer.block<bf16>>
  %0 = transformer.logits %a, %e : (tensor<?x1x!transformer.activation<f32>>, tensor<41x19x!transformer.block<bf16>>) -> tensor<?x41xf32>
  %1 = transformer.embedding %t, %e : (tensor<?xi32>, tensor<41x19x!transformer.block<bf16>>) -> tensor<?x19xf32>
  return %0, %1 : tensor<?x41xf32>, tensor<?x19xf32>
}

// -----

func.func @weight_of_nowhere(%x: tensor<?x37xf32>, %w: tensor<37xf32>) -> tensor<?x37xf32> {
  // expected-error @+1 {{expects a weight of the checkpoint where sizes are padded}}
  %0 = transformer.rms_norm %x, %w {eps = 1.0e-5 : f64} : tensor<?x37xf32>, tensor<37xf32>
  return %0 : tensor<?x37xf32>
}

// -----

func.func @heads_of_two_sizes(%x: tensor<?x60xf32>, %batch: !transformer.batch) -> tensor<?x60xf32> {
  // expected-error @+1 {{expects heads of one size where sizes are padded}}
  %0 = transformer.rope half %x, %batch {head_dim = 12 : i64, inverse_frequencies = array<f64: 1.0>} : tensor<?x60xf32>
  %1 = transformer.rope half %0, %batch {head_dim = 10 : i64, inverse_frequencies = array<f64: 1.0>} : tensor<?x60xf32>
  return %1 : tensor<?x60xf32>
}

// -----

func.func @layer_norm_of_an_odd_row(%x: tensor<?x37xf32>, %w: tensor<37xf32>) -> tensor<?x37xf32> {
  // expected-error @+1 {{expects columns in multiples of 32 where sizes are padded}}
  %0 = transformer.layer_norm %x, %w, %w {eps = 1.0e-5 : f64} : tensor<?x37xf32>, tensor<37xf32>, tensor<37xf32>
  return %0 : tensor<?x37xf32>
}

// -----

// What each expert gives is padded by itself; of the router's numbers those behind the last expert's are none.
// CHECK-LABEL: func.func @odd_experts
// CHECK-DAG: transformer.weight "r" groups [5, 32] columns 37 : tensor<32x64x!transformer.block<f32>>
// CHECK-DAG: transformer.weight "u" groups [29, 32] columns 37 : tensor<160x64x!transformer.block<f16>>
// CHECK-DAG: transformer.weight "d" groups [37, 64] columns 29 : tensor<320x32x!transformer.block<f16>>
// CHECK-DAG: transformer.weight "c" groups [29, 32] : tensor<160xf32>
// CHECK: transformer.route %{{.*}} {experts = 5 : i64, used = 3 : i64} : tensor<?x32xf32> -> tensor<?x3xi32>, tensor<?x32xf32>
// CHECK: transformer.expert_linear %{{.*}} {experts = 5 : i64} : {{.*}} -> tensor<?x96xf32>
// CHECK: transformer.quantize %{{.*}} by_token : tensor<?x96xf32> -> tensor<?x3x!transformer.activation<f32>>
// CHECK: transformer.expert_linear %{{.*}} by_rank {experts = 5 : i64} : {{.*}} -> tensor<?x192xf32>
// CHECK: transformer.combine_experts %{{.*}} -> tensor<?x64xf32>
func.func @odd_experts(%x: tensor<?x37xf32>) -> tensor<?x37xf32> {
  %r = transformer.weight "r" : tensor<5x37x!transformer.block<f32>>
  %u = transformer.weight "u" : tensor<145x37x!transformer.block<f16>>
  %c = transformer.weight "c" : tensor<145xf32>
  %d = transformer.weight "d" : tensor<185x29x!transformer.block<f16>>
  %a = transformer.quantize %x : tensor<?x37xf32> -> tensor<?x2x!transformer.activation<f32>>
  %z = transformer.linear %a, %r : (tensor<?x2x!transformer.activation<f32>>, tensor<5x37x!transformer.block<f32>>) -> tensor<?x5xf32>
  %i, %w = transformer.route %z {experts = 5 : i64, used = 3 : i64} : tensor<?x5xf32> -> tensor<?x3xi32>, tensor<?x3xf32>
  %b = transformer.quantize %x by_token : tensor<?x37xf32> -> tensor<?x2x!transformer.activation<f32>>
  %0 = transformer.expert_linear %b, %i, %u, %c {experts = 5 : i64}
      : (tensor<?x2x!transformer.activation<f32>>, tensor<?x3xi32>, tensor<145x37x!transformer.block<f16>>, tensor<145xf32>) -> tensor<?x87xf32>
  %h = transformer.quantize %0 by_token : tensor<?x87xf32> -> tensor<?x3x!transformer.activation<f32>>
  %1 = transformer.expert_linear %h, %i, %d by_rank {experts = 5 : i64}
      : (tensor<?x3x!transformer.activation<f32>>, tensor<?x3xi32>, tensor<185x29x!transformer.block<f16>>) -> tensor<?x111xf32>
  %2 = transformer.combine_experts %1, %w : (tensor<?x111xf32>, tensor<?x3xf32>) -> tensor<?x37xf32>
  return %2 : tensor<?x37xf32>
}

// An adapter's rows lie as those of what it reads, its columns as those of the linear.
// CHECK-LABEL: func.func @odd_adapter
// CHECK-DAG: transformer.adapter "w" down groups [37, 64] : tensor<3x64x16xf16>
// CHECK-DAG: transformer.adapter "w" up groups [29, 32] : tensor<3x5x32xf16>
// CHECK: transformer.adapt {{.*}} -> tensor<?x32xf32>
func.func @odd_adapter(%x: tensor<?x37xf32>, %s: tensor<?xi32>) -> tensor<?x29xf32> {
  %w = transformer.weight "w" : tensor<29x37x!transformer.block<f16>>
  %a = transformer.adapter "w" down : tensor<3x37x16xf16>
  %b = transformer.adapter "w" up : tensor<3x5x29xf16>
  %q = transformer.quantize %x : tensor<?x37xf32> -> tensor<?x2x!transformer.activation<f32>>
  %0 = transformer.linear %q, %w : (tensor<?x2x!transformer.activation<f32>>, tensor<29x37x!transformer.block<f16>>) -> tensor<?x29xf32>
  %1 = transformer.adapt %0, %x, %s, %a, %b : (tensor<?x29xf32>, tensor<?x37xf32>, tensor<?xi32>, tensor<3x37x16xf16>, tensor<3x5x29xf16>) -> tensor<?x29xf32>
  return %1 : tensor<?x29xf32>
}
