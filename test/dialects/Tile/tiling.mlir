// RUN: stepdown-opt %s -split-input-file -verify-diagnostics | FileCheck %s

// CHECK: tile.tiling = #tile.tiling<parts = {{\[\[}}1, 0]], arguments = {{\[\[}}1 by 4, whole], [], [0 by 2 exact]]>
func.func @as_written(%x: tensor<?x3xf32>, %n: index, %y: tensor<?xf32>)
    attributes {tile.cyclic, tile.tiling = #tile.tiling<parts = [[1, 0]], arguments = [[1 by 4, whole], [], [0 by 2 exact]]>} {
  return
}

// -----

// C1
// expected-error @+1 {{expects tiles of at least one element (C1), but got 0}}
func.func @tile_of_nothing(%x: tensor<?xf32>) attributes {tile.tiling = #tile.tiling<parts = [[0]], arguments = [[0 by 0]]>} {
  return
}

// -----

// C1
// expected-error @+1 {{expects tiles of at least one element (C1), but got -2}}
func.func @tile_of_less(%x: tensor<?xf32>) attributes {tile.tiling = #tile.tiling<parts = [[0]], arguments = [[0 by -2]]>} {
  return
}

// -----

// C1
// expected-error @+1 {{expects loops that are not negative (C1), but got -1}}
func.func @part_that_is_whole(%x: tensor<?xf32>) attributes {tile.tiling = #tile.tiling<parts = [[-1]], arguments = [[whole]]>} {
  return
}

// -----

// C1
// expected-error @+1 {{expects loops that are not negative (C1), but got -3}}
func.func @dimension_of_no_loop(%x: tensor<?xf32>) attributes {tile.tiling = #tile.tiling<parts = [[0]], arguments = [[-3 by 5]]>} {
  return
}

// -----

// C2
// expected-error @+1 {{expects tile.tiling of 2 arguments (C2), but got 1}}
func.func @argument_missing(%x: tensor<?xf32>, %y: tensor<?xf32>) attributes {tile.tiling = #tile.tiling<parts = [[0]], arguments = [[whole]]>} {
  return
}

// -----

// C2
// expected-error @+1 {{expects tile.tiling to cut each dimension of 'tensor<?x2xf32>' (C2), but got 1}}
func.func @dimension_missing(%x: tensor<?x2xf32>) attributes {tile.tiling = #tile.tiling<parts = [[0]], arguments = [[whole]]>} {
  return
}

// -----

// C2
// expected-error @+1 {{expects a part for each of 1 results, or one for all (C2), but got 2}}
func.func @part_without_result(%x: tensor<?xf32>) -> tensor<?xf32> attributes {tile.tiling = #tile.tiling<parts = [[0], [1]], arguments = [[0 by 5]]>} {
  return %x : tensor<?xf32>
}

// -----

// expected-error @+1 {{expects no attribute of the tile dialect but 'tile.tiling', a #tile.tiling, 'tile.cyclic', 'tile.any_tile', 'tile.launch', 'tile.splits', 'tile.experts' and 'tile.grid', columns and threads, on a function, 'tile.register_file', a number, 'tile.shares', a power of two up to 64, and 'tile.cluster', a power of two, on a kernel, and 'tile.unselected' on a module, but got 'tile.part'}}
func.func @other_attribute() attributes {tile.part = 1 : i64} {
  return
}

// -----

// expected-error @+1 {{expects no attribute of the tile dialect but 'tile.tiling', a #tile.tiling, 'tile.cyclic', 'tile.any_tile', 'tile.launch', 'tile.splits', 'tile.experts' and 'tile.grid', columns and threads, on a function, 'tile.register_file', a number, 'tile.shares', a power of two up to 64, and 'tile.cluster', a power of two, on a kernel, and 'tile.unselected' on a module, but got 'tile.grid'}}
func.func @grid_of_no_threads() attributes {tile.grid = array<i64: 7, 0>} {
  return
}

// -----

// A weight and a result for each product.
// expected-error @+1 {{expects the fifth number of 'tile.grid' to be that of products, each with one of the first arguments and one of the last, matrices of one type, and a schedule in the first role, but got 2}}
tile.kernel @more_products_than_arguments(%x: memref<?x?xf16>, %y: memref<?x?xf16>, %z: memref<?x?xf16>) attributes {tile.grid = array<i64: 7, 32, 0, 8, 2>} {
}

// -----

// No role says which tiles a block has.
// expected-error @+1 {{expects the fifth number of 'tile.grid' to be that of products, each with one of the first arguments and one of the last, matrices of one type, and a schedule in the first role, but got 2}}
tile.kernel @products_without_a_schedule(%w: memref<?x?xf16>, %v: memref<?x?xf16>, %y: memref<?x?xf32>, %z: memref<?x?xf32>) attributes {tile.grid = array<i64: 7, 32, 0, 8, 2>} {
}

// -----

// A number among the weights.
// expected-error @+1 {{expects the fifth number of 'tile.grid' to be that of products, each with one of the first arguments and one of the last, matrices of one type, and a schedule in the first role, but got 2}}
tile.kernel @products_of_a_number(%w: memref<?x?xf16>, %v: f32, %y: memref<?x?xf32>, %z: memref<?x?xf32>) attributes {tile.grid = array<i64: 7, 32, 0, 8, 2>} {
}

// -----

// Results of two types.
// expected-error @+1 {{expects the fifth number of 'tile.grid' to be that of products, each with one of the first arguments and one of the last, matrices of one type, and a schedule in the first role, but got 2}}
tile.kernel @products_of_two_types(%w: memref<?x?xf16>, %v: memref<?x?xf16>, %y: memref<?x?xf32>, %z: memref<?x?xf16>) attributes {tile.grid = array<i64: 7, 32, 0, 8, 2>} {
}

// -----

// Attributes of a function without a type are looked at before it is known that it has none.
// expected-error @+1 {{requires attribute 'function_type'}}
"tile.kernel"() ({}) {sym_name = "x", tile.grid = array<i64: 7, 32, 0, 8, 2>} : () -> ()

// -----

// expected-error @+1 {{requires attribute 'function_type'}}
"func.func"() ({}) {sym_name = "x", tile.tiling = #tile.tiling<parts = [[0]], arguments = []>} : () -> ()

// -----

// Splits on matrix units: positions of a chunk, splits, tokens of a block and lanes of a warp.
// expected-error @+1 {{expects 'tile.splits' of a chunk in whole warps, but got 128 positions and 256 lanes}}
func.func @splits_of_part_of_a_warp() attributes {tile.splits = array<i64: 128, 2, 16, 256>} {
  return
}

// -----

// expected-error @+1 {{expects 'tile.splits' of a chunk in whole warps, but got 128 positions and 48 lanes}}
func.func @splits_of_warps_and_a_part() attributes {tile.splits = array<i64: 128, 2, 16, 48>} {
  return
}
