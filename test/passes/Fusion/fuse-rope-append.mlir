// RUN: stepdown-opt %s -fuse-rope-append | FileCheck %s
// RUN: stepdown-opt %s -fuse-rope-append -remarks-filter-missed=fusion -verify-diagnostics -o /dev/null

!cache = !transformer.cache<heads = 1, key = 32, value = 32, element = f16>
!rows = tensor<?x32xf32>

module attributes {transformer.model = #transformer.model<name = "t", architecture = "qwen3", positions = 256, width = 32, layers = 1, vocabulary = 96>} {

// The angles of 256 positions are those of 4 multiples of 64 and of 64 remainders.
// CHECK-LABEL: @normed_heads
// CHECK-DAG: transformer.rope_table {{.*}} : tensor<4x2x16xf32>
// CHECK-DAG: transformer.rope_table {{.*}} : tensor<64x2x16xf32>
// CHECK: transformer.kernel "rope_append"
// CHECK-SAME: -> (tensor<?x32xf32>, !transformer.cache<
// CHECK-DAG: rms_norm
// CHECK-DAG: rope half {{.*}} tables(
// CHECK-DAG: rope half {{.*}} tables(
// CHECK: kv_append
// CHECK: return
func.func @normed_heads(%q: !rows, %k: !rows, %v: !rows, %batch: !transformer.batch, %cache: !cache, %w: tensor<32xf32>) -> (!rows, !cache) {
  %0 = transformer.rms_norm %q, %w {eps = 1.0e-5 : f64} : !rows, tensor<32xf32>
  %1 = transformer.rope half %0, %batch {head_dim = 32 : i64, inverse_frequencies = array<f64: 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.09, 0.08, 0.07, 0.06, 0.05, 0.04>} : !rows
  %2 = transformer.rope half %k, %batch {head_dim = 32 : i64, inverse_frequencies = array<f64: 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.09, 0.08, 0.07, 0.06, 0.05, 0.04>} : !rows
  %3 = transformer.kv_append %2, %v, %batch, %cache : !rows, !rows, !cache
  return %1, %3 : !rows, !cache
}

// Other angles make another kernel.
// CHECK-LABEL: @angles_differ
// CHECK-COUNT-2: transformer.kernel "rope_append"
// CHECK: return
func.func @angles_differ(%q: !rows, %k: !rows, %batch: !transformer.batch) -> (!rows, !rows) {
  %0 = transformer.rope half %q, %batch {head_dim = 32 : i64, inverse_frequencies = array<f64: 1.0>} : !rows
  %1 = transformer.rope half %k, %batch {head_dim = 32 : i64, inverse_frequencies = array<f64: 0.5>} : !rows
  return %0, %1 : !rows, !rows
}

// A norm that something else reads stays outside.
// CHECK-LABEL: @norm_is_read_twice
// CHECK: transformer.rms_norm
// CHECK: transformer.kernel "rope_append"
// CHECK-NOT: rms_norm
// CHECK: return
func.func @norm_is_read_twice(%q: !rows, %batch: !transformer.batch, %w: tensor<32xf32>) -> (!rows, !rows) {
  %0 = transformer.rms_norm %q, %w {eps = 1.0e-5 : f64} : !rows, tensor<32xf32>
  // expected-remark @+1 {{the producer has other readers, so that it goes to memory all the same}}
  %1 = transformer.rope half %0, %batch {head_dim = 32 : i64, inverse_frequencies = array<f64: 1.0>} : !rows
  return %0, %1 : !rows, !rows
}

// A tile of a linear is a part of a head.
// CHECK-LABEL: @heads_from_linears
// CHECK-COUNT-2: transformer.linear
// CHECK: transformer.kernel "rope_append"
// CHECK-NOT: transformer.linear
// CHECK: return
func.func @heads_from_linears(%a: tensor<?x1x!transformer.activation<q8>>, %w: tensor<32x1x!transformer.block<q4_1>>,
                              %batch: !transformer.batch, %cache: !cache) -> !cache {
  %k = transformer.linear %a, %w : (tensor<?x1x!transformer.activation<q8>>, tensor<32x1x!transformer.block<q4_1>>) -> !rows
  %v = transformer.linear %a, %w : (tensor<?x1x!transformer.activation<q8>>, tensor<32x1x!transformer.block<q4_1>>) -> !rows
  // expected-remark @+1 {{a rotation needs whole heads of 32 columns, of which a tile of a linear computes a part}}
  %0 = transformer.rope half %k, %batch {head_dim = 32 : i64, inverse_frequencies = array<f64: 1.0>} : !rows
  // expected-remark @+1 {{keys and values are stored together, and the rotation of the keys is in the kernel that stores them}}
  %1 = transformer.kv_append %0, %v, %batch, %cache : !rows, !rows, !cache
  return %1 : !cache
}

// A norm of heads needs a head of the linear's columns, one of all columns whole rows.
// CHECK-LABEL: @norms_from_linears
// CHECK-COUNT-2: transformer.linear
// CHECK: transformer.kernel "rope_append"
// CHECK: return
func.func @norms_from_linears(%a: tensor<?x1x!transformer.activation<q8>>, %w: tensor<64x1x!transformer.block<q4_1>>, %batch: !transformer.batch,
                              %head: tensor<32xf32>, %row: tensor<64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %q = transformer.linear %a, %w : (tensor<?x1x!transformer.activation<q8>>, tensor<64x1x!transformer.block<q4_1>>) -> tensor<?x64xf32>
  %k = transformer.linear %a, %w : (tensor<?x1x!transformer.activation<q8>>, tensor<64x1x!transformer.block<q4_1>>) -> tensor<?x64xf32>
  // expected-remark @+1 {{a norm needs whole heads of 32 columns, of which a tile of a linear computes a part}}
  %0 = transformer.rms_norm %q, %head {eps = 1.0e-5 : f64} : tensor<?x64xf32>, tensor<32xf32>
  // expected-remark @+1 {{a norm needs whole rows of 64 columns, of which a tile of a linear computes a part}}
  %1 = transformer.rms_norm %k, %row {eps = 1.0e-5 : f64} : tensor<?x64xf32>, tensor<64xf32>
  %2 = transformer.rope half %0, %batch {head_dim = 32 : i64, inverse_frequencies = array<f64: 1.0>} : tensor<?x64xf32>
  %3 = transformer.rope half %1, %batch {head_dim = 32 : i64, inverse_frequencies = array<f64: 1.0>} : tensor<?x64xf32>
  return %2, %3 : tensor<?x64xf32>, tensor<?x64xf32>
}
}
