// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

!lanes = vector<16xf32>

// pack_activation C1
func.func @pack_of_two_inputs(%x: memref<?x4x!lanes>, %a: memref<?x2x!transformer.activation<q8>>) {
  // expected-error @+1 {{expects 1 inputs, but got 2}}
  transformer.pack_activation ins(%x, %x : memref<?x4x!lanes>, memref<?x4x!lanes>)
      outs(%a : memref<?x2x!transformer.activation<q8>>)
  return
}

// -----

// pack_activation C2
func.func @pack_into_numbers(%x: memref<?x4xvector<16xf32>>) {
  // expected-error @+1 {{expects a of rank 2 and element !transformer.activation, but got 'memref<?x4xvector<16xf32>>'}}
  transformer.pack_activation ins(%x : memref<?x4xvector<16xf32>>) outs(%x : memref<?x4xvector<16xf32>>)
  return
}

// -----

// gather C1
func.func @gather_without_table(%tokens: memref<?xi32>, %y: memref<?x4xvector<16xf32>>) {
  // expected-error @+1 {{expects 2 inputs, but got 1}}
  transformer.gather ins(%tokens : memref<?xi32>) outs(%y : memref<?x4xvector<16xf32>>) {scale = 1.0 : f64}
  return
}

// -----

// gather C2
func.func @gather_by_i64(%tokens: memref<?xi64>, %table: memref<4x2x!transformer.block<q4_1, rows = 16>>,
                         %y: memref<?x4xvector<16xf32>>) {
  // expected-error @+1 {{expects tokens of rank 1 and element i32, but got 'memref<?xi64>'}}
  transformer.gather ins(%tokens, %table : memref<?xi64>, memref<4x2x!transformer.block<q4_1, rows = 16>>)
      outs(%y : memref<?x4xvector<16xf32>>) {scale = 1.0 : f64}
  return
}

// -----

// rotate C1
func.func @rotate_without_tables(%x: memref<?x4xvector<16xf32>>, %positions: memref<?xi32>) {
  // expected-error @+1 {{expects 4 inputs, but got 2}}
  transformer.rotate ins(%x, %positions : memref<?x4xvector<16xf32>>, memref<?xi32>) outs(%x : memref<?x4xvector<16xf32>>)
      {head_dim = 32 : i64, pairs = #transformer<pairs half>}
  return
}

// -----

// rotate C2
func.func @rotate_by_flat_table(%x: memref<?x4xvector<16xf32>>, %positions: memref<?xi32>, %table: memref<?x16xf32>) {
  // expected-error @+1 {{expects coarse of rank 3 and element f32, but got 'memref<?x16xf32>'}}
  transformer.rotate ins(%x, %positions, %table, %table
      : memref<?x4xvector<16xf32>>, memref<?xi32>, memref<?x16xf32>, memref<?x16xf32>) outs(%x : memref<?x4xvector<16xf32>>)
      {head_dim = 32 : i64, pairs = #transformer<pairs half>}
  return
}

// -----

// cache_store C1
func.func @store_into_keys_only(%k: memref<?x4xvector<16xf32>>, %ids: memref<?xi32>, %table: memref<?x?xi32>,
                                %keys: memref<?x2x?x32x16xf16>) {
  // expected-error @+1 {{expects 2 outputs, but got 1}}
  transformer.cache_store ins(%k, %k, %ids, %ids, %table
      : memref<?x4xvector<16xf32>>, memref<?x4xvector<16xf32>>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
      outs(%keys : memref<?x2x?x32x16xf16>)
  return
}

// -----

// cache_store C2
func.func @store_into_doubles(%k: memref<?x4xvector<16xf32>>, %ids: memref<?xi32>, %table: memref<?x?xi32>,
                              %keys: memref<?x2x?x32x16xf64>, %values: memref<?x2x?x32xf16>) {
  // expected-error @+1 {{expects keys of rank 5 and element f16 or f32, but got 'memref<?x2x?x32x16xf64>'}}
  transformer.cache_store ins(%k, %k, %ids, %ids, %table
      : memref<?x4xvector<16xf32>>, memref<?x4xvector<16xf32>>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
      outs(%keys, %values : memref<?x2x?x32x16xf64>, memref<?x2x?x32xf16>)
  return
}

// -----

// attend C1
func.func @attend_without_cache(%q: memref<?x4xvector<16xf32>>) {
  // expected-error @+1 {{expects 6 inputs, but got 1}}
  transformer.attend ins(%q : memref<?x4xvector<16xf32>>) outs(%q : memref<?x4xvector<16xf32>>)
      {causal = true, scale = 1.0 : f64, softcap = 0.0 : f64, window = 0 : i64}
  return
}

// -----

// attend C2
func.func @attend_over_flat_values(%q: memref<?x4xvector<16xf32>>, %ids: memref<?xi32>, %table: memref<?x?xi32>,
                                   %keys: memref<?x2x?x32x16xf16>, %values: memref<?x32xf16>) {
  // expected-error @+1 {{expects values of rank 4 and element f16 or f32, but got 'memref<?x32xf16>'}}
  transformer.attend ins(%q, %keys, %values, %ids, %ids, %table
      : memref<?x4xvector<16xf32>>, memref<?x2x?x32x16xf16>, memref<?x32xf16>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
      outs(%q : memref<?x4xvector<16xf32>>) {causal = true, scale = 1.0 : f64, softcap = 0.0 : f64, window = 0 : i64}
  return
}
