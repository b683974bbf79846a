// RUN: stepdown-opt %s -fuse-gated-activation | FileCheck %s
// RUN: stepdown-opt %s -fuse-gated-activation -remarks-filter-missed=fusion -verify-diagnostics -o /dev/null

!a = tensor<?x1x!transformer.activation<q8>>
!w = tensor<32x1x!transformer.block<q4_1>>
!rows = tensor<?x32xf32>

// CHECK-LABEL: @gate_and_up
// CHECK: %[[K:.*]] = transformer.kernel "gated_linear" ({{.*}}) -> (tensor<?x1x!transformer.activation<q8>>) {
// CHECK-NEXT: linear
// CHECK-NEXT: linear
// CHECK-NEXT: gated_activation silu
// CHECK-NEXT: %[[Q:.*]] = transformer.quantize
// CHECK-NEXT: yield %[[Q]]
// CHECK: return %[[K]]
func.func @gate_and_up(%a: !a, %g: !w, %u: !w) -> !a {
  %0 = transformer.linear %a, %g : (!a, !w) -> !rows
  %1 = transformer.linear %a, %u : (!a, !w) -> !rows
  %2 = transformer.gated_activation silu %0, %1 : !rows
  %3 = transformer.quantize %2 : !rows -> !a
  return %3 : !a
}

// CHECK-LABEL: @gate_is_read_twice
// CHECK-NOT: transformer.kernel
func.func @gate_is_read_twice(%a: !a, %g: !w, %u: !w) -> (!a, !rows) {
  %0 = transformer.linear %a, %g : (!a, !w) -> !rows
  %1 = transformer.linear %a, %u : (!a, !w) -> !rows
  // expected-remark @+2 {{operand 0", Reason="gate or up has another reader, so that it goes to memory all the same}}
  // expected-remark @+1 {{operand 1", Reason="gate or up has another reader, so that it goes to memory all the same}}
  %2 = transformer.gated_activation silu %0, %1 : !rows
  %3 = transformer.quantize %2 : !rows -> !a
  return %3, %0 : !a, !rows
}

// CHECK-LABEL: @inputs_differ
// CHECK-NOT: transformer.kernel
func.func @inputs_differ(%a: !a, %b: !a, %g: !w, %u: !w) -> !a {
  %0 = transformer.linear %a, %g : (!a, !w) -> !rows
  %1 = transformer.linear %b, %u : (!a, !w) -> !rows
  // expected-remark @+2 {{operand 0", Reason="gate and up read different inputs}}
  // expected-remark @+1 {{operand 1", Reason="gate and up read different inputs}}
  %2 = transformer.gated_activation silu %0, %1 : !rows
  %3 = transformer.quantize %2 : !rows -> !a
  return %3 : !a
}

// CHECK-LABEL: @result_stays_rows
// CHECK-NOT: transformer.kernel
func.func @result_stays_rows(%a: !a, %g: !w, %u: !w) -> !rows {
  %0 = transformer.linear %a, %g : (!a, !w) -> !rows
  %1 = transformer.linear %a, %u : (!a, !w) -> !rows
  // expected-remark @+2 {{operand 0", Reason="the result is not packed for linears alone}}
  // expected-remark @+1 {{operand 1", Reason="the result is not packed for linears alone}}
  %2 = transformer.gated_activation silu %0, %1 : !rows
  return %2 : !rows
}

// Gate and up of a token's experts, where these are the same.
// CHECK-LABEL: @experts
// CHECK: transformer.kernel "gated_experts"
// CHECK-NEXT: expert_linear
// CHECK-NEXT: expert_linear
// CHECK-NEXT: gated_activation silu
// CHECK-NEXT: quantize
func.func @experts(%a: !a, %i: tensor<?x1xi32>, %g: !w, %u: !w) -> tensor<?x1x!transformer.activation<q8>> {
  %0 = transformer.expert_linear %a, %i, %g {experts = 1 : i64} : (!a, tensor<?x1xi32>, !w) -> !rows
  %1 = transformer.expert_linear %a, %i, %u {experts = 1 : i64} : (!a, tensor<?x1xi32>, !w) -> !rows
  %2 = transformer.gated_activation silu %0, %1 : !rows
  %3 = transformer.quantize %2 by_token : !rows -> !a
  return %3 : !a
}

// CHECK-LABEL: @other_experts
// CHECK-NOT: transformer.kernel
func.func @other_experts(%a: !a, %i: tensor<?x1xi32>, %j: tensor<?x1xi32>, %g: !w, %u: !w) -> !a {
  %0 = transformer.expert_linear %a, %i, %g {experts = 1 : i64} : (!a, tensor<?x1xi32>, !w) -> !rows
  %1 = transformer.expert_linear %a, %j, %u {experts = 1 : i64} : (!a, tensor<?x1xi32>, !w) -> !rows
  // expected-remark @+2 {{operand 0", Reason="gate and up are of different experts}}
  // expected-remark @+1 {{operand 1", Reason="gate and up are of different experts}}
  %2 = transformer.gated_activation silu %0, %1 : !rows
  %3 = transformer.quantize %2 by_token : !rows -> !a
  return %3 : !a
}

// CHECK-LABEL: @one_linear
// CHECK: %[[K:.*]] = transformer.kernel "activated_linear" ({{.*}}) -> (tensor<?x1x!transformer.activation<q8>>) {
// CHECK-NEXT: linear
// CHECK-NEXT: activation gelu_erf
// CHECK-NEXT: %[[Q:.*]] = transformer.quantize
// CHECK-NEXT: yield %[[Q]]
func.func @one_linear(%a: !a, %u: !w) -> !a {
  %0 = transformer.linear %a, %u : (!a, !w) -> !rows
  %1 = transformer.activation gelu_erf %0 : !rows
  %2 = transformer.quantize %1 : !rows -> !a
  return %2 : !a
}

// CHECK-LABEL: @activated_rows_stay
// CHECK-NOT: transformer.kernel
func.func @activated_rows_stay(%a: !a, %u: !w) -> !rows {
  %0 = transformer.linear %a, %u : (!a, !w) -> !rows
  // expected-remark @+1 {{operand 0", Reason="the result is not packed for linears alone}}
  %1 = transformer.activation gelu_erf %0 : !rows
  return %1 : !rows
}

// CHECK-LABEL: @linear_is_read_twice
// CHECK-NOT: transformer.kernel
func.func @linear_is_read_twice(%a: !a, %u: !w) -> (!a, !rows) {
  %0 = transformer.linear %a, %u : (!a, !w) -> !rows
  // expected-remark @+1 {{operand 0", Reason="the linear has another reader, so that it goes to memory all the same}}
  %1 = transformer.activation gelu_erf %0 : !rows
  %2 = transformer.quantize %1 : !rows -> !a
  return %2, %0 : !a, !rows
}
