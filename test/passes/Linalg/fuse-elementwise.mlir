// RUN: stepdown-opt %s -pass-pipeline='builtin.module(func.func(fuse-elementwise))' | FileCheck %s

#id = affine_map<(i) -> (i)>

// CHECK-LABEL: func.func @read_once(
// CHECK-COUNT-1: linalg.generic
// CHECK:           math.exp
// CHECK-NEXT:      arith.mulf
// CHECK-NOT:     linalg.generic
// CHECK:         return
func.func @read_once(%x: tensor<8xf32>, %o: tensor<8xf32>) -> tensor<8xf32> attributes {transformer.callable} {
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%x : tensor<8xf32>) outs(%o : tensor<8xf32>) {
  ^bb0(%a: f32, %b: f32):
    %e = math.exp %a : f32
    linalg.yield %e : f32
  } -> tensor<8xf32>
  %1 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]} ins(%0, %x : tensor<8xf32>, tensor<8xf32>) outs(%o : tensor<8xf32>) {
  ^bb0(%a: f32, %c: f32, %b: f32):
    %e = arith.mulf %a, %c : f32
    linalg.yield %e : f32
  } -> tensor<8xf32>
  return %1 : tensor<8xf32>
}

// What every row reads is computed once.
// CHECK-LABEL: func.func @read_by_every_row(
// CHECK:         linalg.generic
// CHECK:         linalg.generic
func.func @read_by_every_row(%x: tensor<8xf32>, %o: tensor<8xf32>, %p: tensor<4x8xf32>) -> tensor<4x8xf32> attributes {transformer.callable} {
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%x : tensor<8xf32>) outs(%o : tensor<8xf32>) {
  ^bb0(%a: f32, %b: f32):
    %e = math.exp %a : f32
    linalg.yield %e : f32
  } -> tensor<8xf32>
  %1 = linalg.generic {indexing_maps = [affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
       ins(%0 : tensor<8xf32>) outs(%p : tensor<4x8xf32>) {
  ^bb0(%a: f32, %b: f32):
    %e = arith.mulf %a, %a : f32
    linalg.yield %e : f32
  } -> tensor<4x8xf32>
  return %1 : tensor<4x8xf32>
}
