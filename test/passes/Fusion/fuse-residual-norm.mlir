// RUN: stepdown-opt %s -fuse-residual-norm | FileCheck %s
// RUN: stepdown-opt %s -fuse-residual-norm=behind-products | FileCheck %s --check-prefix=BEHIND
// RUN: stepdown-opt %s -fuse-residual-norm -remarks-filter-missed=fusion -verify-diagnostics -o /dev/null

!rows = tensor<?x32xf32>
!a = tensor<?x1x!transformer.activation<q8>>
!w = tensor<32xf32>

// CHECK-LABEL: @post_norm_add_norm_pack
// CHECK: transformer.kernel "residual_norm" {{.*}} -> (tensor<?x32xf32>, tensor<?x1x!transformer.activation<q8>>)
// CHECK-NEXT: rms_norm
// CHECK-NEXT: add
// CHECK-NEXT: rms_norm
// CHECK-NEXT: quantize
// CHECK-NEXT: yield
func.func @post_norm_add_norm_pack(%x: !rows, %h: !rows, %post: !w, %norm: !w) -> (!rows, !a) {
  %0 = transformer.rms_norm %h, %post {eps = 1.0e-5 : f64} : !rows, !w
  %1 = transformer.add %x, %0 : !rows
  %2 = transformer.rms_norm %1, %norm {eps = 1.0e-5 : f64} : !rows, !w
  %3 = transformer.quantize %2 : !rows -> !a
  return %1, %3 : !rows, !a
}

// CHECK-LABEL: @selected_rows
// CHECK: transformer.kernel "norm"
// CHECK-NEXT: select_rows
// CHECK-NEXT: rms_norm
// CHECK-NEXT: yield
func.func @selected_rows(%x: !rows, %rows: tensor<?xi32>, %norm: !w) -> !rows {
  %0 = transformer.select_rows %x, %rows : (!rows, tensor<?xi32>) -> !rows
  %1 = transformer.rms_norm %0, %norm {eps = 1.0e-5 : f64} : !rows, !w
  return %1 : !rows
}

// A norm of one operand that is read elsewhere too is no part of the sum.
// CHECK-LABEL: @post_norm_is_read_twice
// CHECK: transformer.kernel "residual_norm"
// CHECK-NEXT: transformer.add
// CHECK-NEXT: transformer.yield
func.func @post_norm_is_read_twice(%x: !rows, %h: !rows, %post: !w) -> (!rows, !rows) {
  %0 = transformer.rms_norm %h, %post {eps = 1.0e-5 : f64} : !rows, !w
  // expected-remark @+1 {{the producer has other readers, so that it goes to memory all the same}}
  %1 = transformer.add %x, %0 : !rows
  return %1, %0 : !rows, !rows
}

// CHECK-LABEL: @rows_from_linears_and_sums
// CHECK: transformer.linear
// CHECK-COUNT-2: transformer.kernel "residual_norm"
func.func @rows_from_linears_and_sums(%x: !rows, %a: !a, %m: tensor<32x1x!transformer.block<q4_1>>, %w: !w) -> !rows {
  %0 = transformer.linear %a, %m : (!a, tensor<32x1x!transformer.block<q4_1>>) -> !rows
  // expected-remark @+1 {{a norm needs whole rows of 32 columns, of which a tile of a linear computes a part}}
  %1 = transformer.rms_norm %0, %w {eps = 1.0e-5 : f64} : !rows, !w
  %2 = transformer.add %x, %1 : !rows
  // expected-remark @+2 {{the kernel of a sum needs whole rows of 32 columns, of which a tile of a linear computes a part}}
  // expected-remark @+1 {{each residual sum has a kernel of its own}}
  %3 = transformer.add %2, %0 : !rows
  return %3 : !rows
}

// A sum that no norm reads is part of the product in front of it; one that a norm reads goes with the norm, and a
// product that something else reads stays by itself.
// BEHIND-LABEL: @sums_behind_products
// BEHIND: transformer.linear
// BEHIND-NEXT: transformer.kernel "residual_norm"
// BEHIND-NEXT: transformer.add
// BEHIND-NEXT: transformer.rms_norm
// BEHIND: transformer.kernel "residual_linear"
// BEHIND-NEXT: transformer.linear
// BEHIND-NEXT: transformer.add
// BEHIND-NEXT: transformer.yield
// BEHIND: transformer.linear
// BEHIND-NEXT: transformer.kernel "residual_norm"
// CHECK-LABEL: @sums_behind_products
// CHECK-NOT: residual_linear
func.func @sums_behind_products(%x: !rows, %a: !a, %m: tensor<32x1x!transformer.block<q4_1>>, %w: !w) -> (!rows, !rows, !rows, !rows) {
  // expected-remark @+2 {{the kernel of a sum needs whole rows of 32 columns, of which a tile of a linear computes a part}}
  %0 = transformer.linear %a, %m : (!a, tensor<32x1x!transformer.block<q4_1>>) -> !rows
  %1 = transformer.add %x, %0 : !rows
  %2 = transformer.rms_norm %1, %w {eps = 1.0e-5 : f64} : !rows, !w
  %3 = transformer.linear %a, %m : (!a, tensor<32x1x!transformer.block<q4_1>>) -> !rows
  // expected-remark @+2 {{the kernel of a sum needs whole rows of 32 columns, of which a tile of a linear computes a part}}
  // expected-remark @+1 {{each residual sum has a kernel of its own}}
  %4 = transformer.add %1, %3 : !rows
  %5 = transformer.linear %a, %m : (!a, tensor<32x1x!transformer.block<q4_1>>) -> !rows
  // expected-remark @+1 {{the kernel of a sum needs whole rows of 32 columns, of which a tile of a linear computes a part}}
  %6 = transformer.add %x, %5 : !rows
  return %2, %4, %5, %6 : !rows, !rows, !rows, !rows
}
