// RUN: stepdown-opt %s -fuse-sibling-linears | FileCheck %s
// RUN: stepdown-opt %s -fuse-sibling-linears -remarks-filter-missed=fusion -verify-diagnostics -o /dev/null

!a = tensor<?x1x!transformer.activation<q8>>
!w = tensor<32x1x!transformer.block<q4_1>>
!rows = tensor<?x32xf32>

// CHECK-LABEL: @query_key_value
// CHECK: %[[K:.*]]:3 = transformer.kernel "linear" (%{{.*}} = %[[A:.*]] : tensor<?x1x!transformer.activation<q8>>, {{.*}}) -> (tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xf32>) {
// CHECK-COUNT-3: transformer.linear
// CHECK: return %[[K]]#0, %[[K]]#1, %[[K]]#2
func.func @query_key_value(%a: !a, %q: !w, %k: !w, %v: !w) -> (!rows, !rows, !rows) {
  %0 = transformer.linear %a, %q : (!a, !w) -> !rows
  %1 = transformer.linear %a, %k : (!a, !w) -> !rows
  %2 = transformer.linear %a, %v : (!a, !w) -> !rows
  return %0, %1, %2 : !rows, !rows, !rows
}

// CHECK-LABEL: @inputs_differ
// CHECK-NOT: transformer.kernel
func.func @inputs_differ(%a: !a, %b: !a, %q: !w, %k: !w) -> (!rows, !rows) {
  %0 = transformer.linear %a, %q : (!a, !w) -> !rows
  %1 = transformer.linear %b, %k : (!a, !w) -> !rows
  return %0, %1 : !rows, !rows
}

// One that depends on the other through memory stays where it is.
// CHECK-LABEL: @result_is_read_in_between
// CHECK-NOT: transformer.kernel
func.func @result_is_read_in_between(%a: !a, %q: !w, %bias: tensor<32xf32>) -> !rows {
  %0 = transformer.linear %a, %q : (!a, !w) -> !rows
  %1 = transformer.rms_norm %0, %bias {eps = 1.0e-5 : f64} : !rows, tensor<32xf32>
  %wide = transformer.weight "late.weight" : !w
  %2 = transformer.add %1, %0 : !rows
  return %2 : !rows
}

// CHECK-LABEL: @rows_of_the_input
// CHECK: transformer.quantize
// CHECK: transformer.kernel "linear"
func.func @rows_of_the_input(%x: !rows, %q: !w, %k: !w) -> (!rows, !rows) {
  %a = transformer.quantize %x : !rows -> !a
  // expected-remark @+1 {{each tile of a linear needs whole rows of its input, and would compute the producer again}}
  %0 = transformer.linear %a, %q : (!a, !w) -> !rows
  // expected-remark @+1 {{each tile of a linear needs whole rows of its input, and would compute the producer again}}
  %1 = transformer.linear %a, %k : (!a, !w) -> !rows
  return %0, %1 : !rows, !rows
}
