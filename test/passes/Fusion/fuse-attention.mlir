// RUN: stepdown-opt %s -fuse-attention | FileCheck %s

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
  %1 = transformer.quantize %0 : !rows -> !a
  return %1 : !a
}
