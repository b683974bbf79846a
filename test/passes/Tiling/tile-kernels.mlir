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
func.func @tiles_of_four(%x: tensor<?x2x!lanes> {transformer.tile = array<i64: 0, 4, -1, 0>},
                         %y: tensor<?x2x!lanes> {transformer.tile = array<i64: 0, 4, -1, 0>}) -> tensor<?x2x!lanes>
    attributes {transformer.parts = [array<i64: 0>]} {
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

// No parts, no tiles: a function that is no kernel stays.
// CHECK-LABEL: @no_kernel
// CHECK-NOT: scf.forall
// CHECK: return
func.func @no_kernel(%x: tensor<?x2xvector<16xf32>>) -> tensor<?x2xvector<16xf32>> {
  return %x : tensor<?x2xvector<16xf32>>
}

// -----

// expected-error @+1 {{expects an argument that loop 3 of part 0 cuts}}
func.func @loop_that_cuts_nothing(%x: tensor<?x2xvector<16xf32>> {transformer.tile = array<i64: 0, 4, -1, 0>})
    -> tensor<?x2xvector<16xf32>> attributes {transformer.parts = [array<i64: 3>]} {
  return %x : tensor<?x2xvector<16xf32>>
}

// -----

func.func @result_of_its_own(%x: tensor<?x2xf32> {transformer.tile = array<i64: 0, 4, -1, 0>})
    -> tensor<?x2xf32> attributes {transformer.parts = [array<i64: 0>]} {
  // expected-error @+1 {{expects a result in one of the kernel's arguments}}
  %0 = arith.addf %x, %x : tensor<?x2xf32>
  return %0 : tensor<?x2xf32>
}

// -----

// expected-error @+1 {{expects a loop and a size in transformer.tile for each dimension of 'tensor<?x2xf32>', but got 1 numbers}}
func.func @tile_of_half_a_pair(%x: tensor<?x2xf32> {transformer.tile = array<i64: 0>}) -> tensor<?x2xf32>
    attributes {transformer.parts = [array<i64: 0>]} {
  return %x : tensor<?x2xf32>
}

// -----

// expected-error @+1 {{expects tiles of at least one element, but got 0 in dimension 0 of argument 0}}
func.func @tile_of_nothing(%x: tensor<?xf32> {transformer.tile = array<i64: 0, 0>}) -> tensor<?xf32>
    attributes {transformer.parts = [array<i64: 0>]} {
  return %x : tensor<?xf32>
}

// -----

// expected-error @+1 {{expects transformer.parts to list loops, but got 5 : i64}}
func.func @part_that_is_a_number(%x: tensor<?xf32>) -> tensor<?xf32> attributes {transformer.parts = [5 : i64]} {
  return %x : tensor<?xf32>
}

// -----

// expected-error @+1 {{expects a kernel of one block}}
func.func @two_blocks(%x: tensor<?xf32>) -> tensor<?xf32> attributes {transformer.parts = [array<i64: 0>]} {
  cf.br ^bb1
^bb1:
  return %x : tensor<?xf32>
}
