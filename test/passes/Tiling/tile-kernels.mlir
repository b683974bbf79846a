// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -tile-kernels | FileCheck %s

!lanes = vector<16xf32>
#id = affine_map<(t, c) -> (t, c)>

// The rest of the rows is shorter than a tile; intermediates have the size of a whole one.
// CHECK-LABEL: @tiles_of_four
// CHECK-SAME: (%[[X:.*]]: tensor<?x2xvector<16xf32>>, %[[Y:.*]]: tensor<?x2xvector<16xf32>>)
// CHECK: arith.divui
// CHECK: scf.forall (%[[I:.*]]) in (%{{.*}}) shared_outs(%[[O:.*]] = %[[Y]])
// CHECK: arith.minui
// CHECK: tensor.extract_slice %[[X]][%{{.*}}, 0] [%{{.*}}, 2] [1, 1]
// CHECK: tensor.empty() : tensor<4x2xvector<16xf32>>
// CHECK: linalg.generic
// CHECK: linalg.generic
// CHECK: tensor.parallel_insert_slice %{{.*}} into %[[O]]
func.func @tiles_of_four(%x: tensor<?x2x!lanes>, %y: tensor<?x2x!lanes>) -> tensor<?x2x!lanes>
    attributes {tile.tiling = #tile.tiling<parts = [[0]], arguments = [[0 by 4, whole], [0 by 4, whole]]>} {
  %c0 = arith.constant 0 : index
  %rows = tensor.dim %x, %c0 : tensor<?x2x!lanes>
  %e = tensor.empty(%rows) : tensor<?x2x!lanes>
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<?x2x!lanes>) outs(%e : tensor<?x2x!lanes>) {
  ^bb0(%a: !lanes, %b: !lanes):
    %s = arith.mulf %a, %a : !lanes
    linalg.yield %s : !lanes
  } -> tensor<?x2x!lanes>
  %1 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%0 : tensor<?x2x!lanes>) outs(%y : tensor<?x2x!lanes>) {
  ^bb0(%a: !lanes, %b: !lanes):
    %s = arith.addf %a, %a : !lanes
    linalg.yield %s : !lanes
  } -> tensor<?x2x!lanes>
  return %1 : tensor<?x2x!lanes>
}

// -----

// A result for each part; what both need, each computes.
// CHECK-LABEL: @two_parts
// CHECK-SAME: (%[[X:.*]]: tensor<?xf32>, %[[Y:.*]]: tensor<?xf32>, %[[Z:.*]]: tensor<?xf32>)
// CHECK: %[[A:.*]] = scf.forall {{.*}} shared_outs(%{{.*}} = %[[Y]])
// CHECK: linalg.fill
// CHECK-NOT: linalg.exp
// CHECK: %[[B:.*]] = scf.forall {{.*}} shared_outs(%{{.*}} = %[[Z]])
// CHECK-NOT: linalg.fill
// CHECK: linalg.exp
// CHECK: return %[[A]], %[[B]]
func.func @two_parts(%x: tensor<?xf32>, %y: tensor<?xf32>, %z: tensor<?xf32>) -> (tensor<?xf32>, tensor<?xf32>)
    attributes {tile.tiling = #tile.tiling<parts = [[0], [1]], arguments = [[0 by 4], [0 by 4], [1 by 8]]>} {
  %number = arith.constant 7.0 : f32
  %0 = linalg.fill ins(%number : f32) outs(%y : tensor<?xf32>) -> tensor<?xf32>
  %1 = linalg.exp ins(%z : tensor<?xf32>) outs(%z : tensor<?xf32>) -> tensor<?xf32>
  return %0, %1 : tensor<?xf32>, tensor<?xf32>
}

// -----

// No tiling, no tiles: a function that is no kernel stays.
// CHECK-LABEL: @no_kernel
// CHECK-NOT: scf.forall
// CHECK: return
func.func @no_kernel(%x: tensor<?x2xvector<16xf32>>) -> tensor<?x2xvector<16xf32>> {
  return %x : tensor<?x2xvector<16xf32>>
}

// -----

// expected-error @+1 {{expects an argument that loop 3 cuts}}
func.func @loop_that_cuts_nothing(%x: tensor<?x2xvector<16xf32>>) -> tensor<?x2xvector<16xf32>>
    attributes {tile.tiling = #tile.tiling<parts = [[3]], arguments = [[0 by 4, whole]]>} {
  return %x : tensor<?x2xvector<16xf32>>
}

// -----

func.func @result_of_its_own(%x: tensor<?x2xf32>) -> tensor<?x2xf32>
    attributes {tile.tiling = #tile.tiling<parts = [[0]], arguments = [[0 by 4, whole]]>} {
  // expected-error @+1 {{expects a result in one of the kernel's arguments}}
  %0 = arith.addf %x, %x : tensor<?x2xf32>
  return %0 : tensor<?x2xf32>
}

// -----

// expected-error @+1 {{expects a kernel of one block}}
func.func @two_blocks(%x: tensor<?xf32>) -> tensor<?xf32> attributes {tile.tiling = #tile.tiling<parts = [[0]], arguments = [[0 by 4]]>} {
  cf.br ^bb1
^bb1:
  return %x : tensor<?xf32>
}
