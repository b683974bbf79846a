// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -select-tile-ops

!lanes = vector<16xf32>

func.func @tensors(%x: tensor<?x2x!lanes>, %a: tensor<?x1x!transformer.activation<q8>>) -> tensor<?x1x!transformer.activation<q8>> {
  // expected-error @+1 {{expects memrefs when instructions are selected, but got 'tensor<?x2xvector<16xf32>>'}}
  %0 = tile.pack_activation ins(%x : tensor<?x2x!lanes>) outs(%a : tensor<?x1x!transformer.activation<q8>>) -> tensor<?x1x!transformer.activation<q8>>
  return %0 : tensor<?x1x!transformer.activation<q8>>
}

// -----

func.func @heads_of_nothing(%x: memref<?x1xvector<16xf32>>, %p: memref<?xi32>, %coarse: memref<4x2x4xf32>, %fine: memref<64x2x4xf32>) {
  // expected-error @+1 {{expects heads of static size that divide the columns and hold both halves of all pairs, but got head_dim 0}}
  tile.rotate ins(%x, %p, %coarse, %fine : memref<?x1xvector<16xf32>>, memref<?xi32>, memref<4x2x4xf32>, memref<64x2x4xf32>)
      outs(%x : memref<?x1xvector<16xf32>>) {head_dim = 0 : i64, pairs = #transformer<pairs half>}
  return
}

// -----

func.func @heads_of_any_number(%q: memref<1x1xvector<16xf32>>, %p: memref<?xi32>, %table: memref<?x?xi32>,
                               %keys: memref<?x?x?x?x16xf16>, %values: memref<?x1x?x?xf16>) {
  // expected-error @+1 {{expects cache heads of static size that divide the columns, but got 'memref<?x?x?x?x16xf16>' and 'memref<?x1x?x?xf16>'}}
  tile.attend ins(%q, %keys, %values, %p, %p, %table
      : memref<1x1xvector<16xf32>>, memref<?x?x?x?x16xf16>, memref<?x1x?x?xf16>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
      outs(%q : memref<1x1xvector<16xf32>>) {scale = 0.25 : f64, softcap = 0.0 : f64, window = 8 : i64}
  return
}

// -----

func.func @store_of_other_columns(%k: memref<?x1xvector<16xf32>>, %p: memref<?xi32>, %table: memref<?x?xi32>,
                                  %keys: memref<?x1x?x12x16xf16>, %values: memref<?x1x?x12xf16>) {
  // expected-error @+1 {{expects cache heads of static size that divide the columns}}
  tile.cache_store ins(%k, %k, %p, %p, %table : memref<?x1xvector<16xf32>>, memref<?x1xvector<16xf32>>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
      outs(%keys, %values : memref<?x1x?x12x16xf16>, memref<?x1x?x12xf16>)
  return
}

// -----

func.func @blocks_of_part_of_a_vector(%k: memref<?x1xvector<16xf32>>, %p: memref<?xi32>, %table: memref<?x?xi32>,
                                      %keys: memref<?x2x?x10x16xi8>, %values: memref<?x2x?x10xi8>) {
  // expected-error @+1 {{expects keys and values of one element, of i8 for heads in multiples of 16 channels}}
  tile.cache_store ins(%k, %k, %p, %p, %table : memref<?x1xvector<16xf32>>, memref<?x1xvector<16xf32>>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
      outs(%keys, %values : memref<?x2x?x10x16xi8>, memref<?x2x?x10xi8>)
  return
}

// -----

func.func @keys_and_values_of_two_elements(%k: memref<?x1xvector<16xf32>>, %p: memref<?xi32>, %table: memref<?x?xi32>,
                                           %keys: memref<?x1x?x16x16xf16>, %values: memref<?x1x?x16xf32>) {
  // expected-error @+1 {{expects keys and values of one element, of i8 for heads in multiples of 16 channels, but got 'memref<?x1x?x16x16xf16>'}}
  tile.cache_store ins(%k, %k, %p, %p, %table : memref<?x1xvector<16xf32>>, memref<?x1xvector<16xf32>>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
      outs(%keys, %values : memref<?x1x?x16x16xf16>, memref<?x1x?x16xf32>)
  return
}

// -----

func.func @more_experts_than_columns(%z: memref<?x2xvector<16xf32>>, %i: memref<?x3xi32>, %w: memref<?x2xvector<16xf32>>) {
  // expected-error @+1 {{expects z of static size with room for the experts, and weights for those used, but got 33 experts in 'memref<?x2xvector<16xf32>>', of which 3 are used}}
  tile.route ins(%z : memref<?x2xvector<16xf32>>) outs(%i, %w : memref<?x3xi32>, memref<?x2xvector<16xf32>>)
      {experts = 33 : i64, normalised = true, scale = 1.0 : f64}
  return
}

// -----

func.func @ranks_that_are_not_there(%x: memref<?x5xvector<16xf32>>, %w: memref<?x2xvector<16xf32>>, %y: memref<?x2xvector<16xf32>>) {
  // expected-error @+1 {{expects x of as many ranks as it says, each as wide as y, and weights for them, but got 3}}
  tile.combine ins(%x, %w : memref<?x5xvector<16xf32>>, memref<?x2xvector<16xf32>>) outs(%y : memref<?x2xvector<16xf32>>) {ranks = 3 : i64}
  return
}

// -----

func.func @ranks_that_have_no_room(%x: memref<?x2xvector<16xf32>>, %of: memref<?x4xvector<16xf32>>, %s: memref<?xi32>, %a: memref<3x64x16xf16>,
                                   %b: memref<3x17x32xf16>, %y: memref<?x2xvector<16xf32>>) {
  // expected-error @+1 {{expects down [slots, in, whole vectors of ranks] and up [slots, ranks, out], but got}}
  tile.adapt ins(%x, %of, %s, %a, %b : memref<?x2xvector<16xf32>>, memref<?x4xvector<16xf32>>, memref<?xi32>, memref<3x64x16xf16>, memref<3x17x32xf16>)
      outs(%y : memref<?x2xvector<16xf32>>)
  return
}
