// RUN: stepdown-opt %s -fuse-attention | FileCheck %s
// RUN: stepdown-opt %s -fuse-attention -remarks-filter-missed=fusion -verify-diagnostics -o /dev/null

!wide = !transformer.cache<heads = 1, key = 32, value = 32, element = f16>
!narrow = !transformer.cache<heads = 2, key = 16, value = 16, element = f16>
!rows = tensor<?x32xf32>
!a = tensor<?x1x!transformer.activation<q8>>

// CHECK-LABEL: @whole_blocks
// CHECK: transformer.kernel "attention" {{.*}} -> (tensor<?x1x!transformer.activation<q8>>)
// CHECK-NEXT: transformer.attention
// CHECK-NEXT: transformer.quantize
func.func @whole_blocks(%q: !rows, %batch: !transformer.batch, %cache: !wide) -> !a {
  %0 = transformer.attention %q, %batch, %cache {scale = 0.25 : f64} : (!rows, !transformer.batch, !wide) -> !rows
  %1 = transformer.quantize %0 : !rows -> !a
  return %1 : !a
}

// Two cache heads share an activation block: tiles of the attention would write it together.
// CHECK-LABEL: @half_blocks
// CHECK: transformer.kernel "attention" {{.*}} -> (tensor<?x32xf32>)
// CHECK-NEXT: transformer.attention
// CHECK-NEXT: transformer.yield
// CHECK: transformer.quantize
func.func @half_blocks(%q: !rows, %batch: !transformer.batch, %cache: !narrow) -> !a {
  %0 = transformer.attention %q, %batch, %cache {scale = 0.25 : f64} : (!rows, !transformer.batch, !narrow) -> !rows
  // expected-remark @+1 {{the 16 columns of a cache head's queries are not a multiple of 32}}
  %1 = transformer.quantize %0 : !rows -> !a
  return %1 : !a
}

// CHECK-LABEL: @keys_of_the_whole_step
// CHECK: transformer.kv_append
// CHECK: transformer.kernel "attention"
func.func @keys_of_the_whole_step(%x: !rows, %w: tensor<32xf32>, %batch: !transformer.batch, %cache: !wide) -> !rows {
  %q = transformer.rms_norm %x, %w {eps = 1.0e-5 : f64} : !rows, tensor<32xf32>
  %stored = transformer.kv_append %x, %x, %batch, %cache : !rows, !rows, !wide
  // expected-remark @+2 {{attention waits until keys and values of the whole step are in the cache}}
  // expected-remark @+1 {{those of the whole step must be in the cache first}}
  %0 = transformer.attention %q, %batch, %stored {scale = 0.25 : f64} : (!rows, !transformer.batch, !wide) -> !rows
  return %0 : !rows
}
