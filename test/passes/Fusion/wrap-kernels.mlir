// RUN: stepdown-opt %s -wrap-kernels | FileCheck %s
// RUN: stepdown-opt %s -wrap-kernels -remarks-filter-missed=fusion -verify-diagnostics -o /dev/null

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

// CHECK-LABEL: @operations_apart
// CHECK: transformer.kernel "linear"
// CHECK: transformer.kernel "quantize"
// CHECK: transformer.kernel "linear"
// CHECK: transformer.kernel "kv_append"
!a = tensor<?x1x!transformer.activation<q8>>
!w = tensor<32x1x!transformer.block<q4_1>>
!cache = !transformer.cache<heads = 1, key = 32, value = 32, element = f16>
func.func @operations_apart(%a: !a, %w: !w, %x: !rows, %batch: !transformer.batch, %cache: !cache) -> !cache {
  %0 = transformer.linear %a, %w : (!a, !w) -> !rows
  // expected-remark @+1 {{packing needs whole blocks of 32 columns, of which a tile of a linear computes a part}}
  %1 = transformer.quantize %0 : !rows -> !a
  // expected-remark @+1 {{each tile of a linear needs whole rows of its input, and would compute the producer again}}
  %2 = transformer.linear %1, %w : (!a, !w) -> !rows
  // expected-remark @+1 {{kv_append needs whole rows of 32 columns, of which a tile of a linear computes a part}}
  %3 = transformer.kv_append %2, %x, %batch, %cache : !rows, !rows, !cache
  return %3 : !cache
}
