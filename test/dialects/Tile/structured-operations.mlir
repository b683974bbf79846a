// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

func.func @pack_into_numbers(%x: memref<?x4xvector<16xf32>>) {
  // expected-error @+1 {{operand #1 must be tensor or memref of rank 2 and element !transformer.activation or tensor or memref of rank 3 and element !transformer.activation, but got 'memref<?x4xvector<16xf32>>'}}
  tile.pack_activation ins(%x : memref<?x4xvector<16xf32>>) outs(%x : memref<?x4xvector<16xf32>>)
  return
}

// -----

func.func @pack_of_other_lanes(%x: memref<?x4xvector<13xf32>>, %a: memref<?x2x!transformer.activation<q8>>) {
  // expected-error @+1 {{operand #0 must be tensor or memref of rank 2 and element a vector of a layout's lanes of f32, but got 'memref<?x4xvector<13xf32>>'}}
  tile.pack_activation ins(%x : memref<?x4xvector<13xf32>>) outs(%a : memref<?x2x!transformer.activation<q8>>)
  return
}

// -----

func.func @gather_by_i64(%tokens: memref<?xi64>, %table: memref<4x2x!transformer.block<q4_1, rows = 16>>,
                         %y: memref<?x4xvector<16xf32>>) {
  // expected-error @+1 {{operand #0 must be tensor or memref of rank 1 and element i32, but got 'memref<?xi64>'}}
  tile.gather ins(%tokens, %table : memref<?xi64>, memref<4x2x!transformer.block<q4_1, rows = 16>>)
      outs(%y : memref<?x4xvector<16xf32>>) {scale = 1.0 : f64}
  return
}

// -----

func.func @gather_of_numbers(%tokens: memref<?xi32>, %table: memref<4x2xf32>, %y: memref<?x4xvector<16xf32>>) {
  // expected-error @+1 {{operand #1 must be tensor or memref of rank 2 and element !transformer.block, but got 'memref<4x2xf32>'}}
  tile.gather ins(%tokens, %table : memref<?xi32>, memref<4x2xf32>) outs(%y : memref<?x4xvector<16xf32>>) {scale = 1.0 : f64}
  return
}

// -----

func.func @rotate_by_flat_table(%x: memref<?x4xvector<16xf32>>, %positions: memref<?xi32>, %table: memref<?x16xf32>) {
  // expected-error @+1 {{operand #2 must be tensor or memref of rank 3 and element f32, but got 'memref<?x16xf32>'}}
  tile.rotate ins(%x, %positions, %table, %table
      : memref<?x4xvector<16xf32>>, memref<?xi32>, memref<?x16xf32>, memref<?x16xf32>) outs(%x : memref<?x4xvector<16xf32>>)
      {head_dim = 32 : i64, pairs = #transformer<pairs half>}
  return
}

// -----

func.func @store_into_doubles(%k: memref<?x4xvector<16xf32>>, %ids: memref<?xi32>, %table: memref<?x?xi32>,
                              %keys: memref<?x2x?x32x16xf64>, %values: memref<?x2x?x32xf16>) {
  // expected-error @+1 {{operand #5 must be tensor or memref of rank 5 and element f16, f32, f8E4M3FN or i8, but got 'memref<?x2x?x32x16xf64>'}}
  tile.cache_store ins(%k, %k, %ids, %ids, %table
      : memref<?x4xvector<16xf32>>, memref<?x4xvector<16xf32>>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
      outs(%keys, %values : memref<?x2x?x32x16xf64>, memref<?x2x?x32xf16>)
  return
}

// -----

func.func @attend_over_flat_values(%q: memref<?x4xvector<16xf32>>, %ids: memref<?xi32>, %table: memref<?x?xi32>,
                                   %keys: memref<?x2x?x32x16xf16>, %values: memref<?x32xf16>) {
  // expected-error @+1 {{operand #2 must be tensor or memref of rank 4 and element f16, f32, f8E4M3FN or i8, but got 'memref<?x32xf16>'}}
  tile.attend ins(%q, %keys, %values, %ids, %ids, %table
      : memref<?x4xvector<16xf32>>, memref<?x2x?x32x16xf16>, memref<?x32xf16>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
      outs(%q : memref<?x4xvector<16xf32>>) {scale = 1.0 : f64, softcap = 0.0 : f64, window = 0 : i64}
  return
}

// -----

func.func @attend_with_sinks_of_halves(%q: memref<?x4xvector<16xf32>>, %ids: memref<?xi32>, %table: memref<?x?xi32>, %sinks: memref<7xf16>,
                                       %keys: memref<?x2x?x32x16xf16>, %values: memref<?x2x?x32xf16>) {
  // expected-error @+1 {{operand #6 must be tensor or memref of rank 1 and element f32, but got 'memref<7xf16>'}}
  tile.attend ins(%q, %keys, %values, %ids, %ids, %table, %sinks : memref<?x4xvector<16xf32>>, memref<?x2x?x32x16xf16>,
      memref<?x2x?x32xf16>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>, memref<7xf16>)
      outs(%q : memref<?x4xvector<16xf32>>) {scale = 1.0 : f64, softcap = 0.0 : f64, window = 0 : i64}
  return
}

// -----

func.func @result_that_is_no_output(%x: tensor<?x4xvector<16xf32>>, %a: tensor<?x2x!transformer.activation<q8>>) {
  // expected-error @+1 {{expected type of operand #1 ('tensor<?x2x!transformer.activation<q8>>') to match type of corresponding result ('tensor<?x7x!transformer.activation<q8>>')}}
  %0 = tile.pack_activation ins(%x : tensor<?x4xvector<16xf32>>) outs(%a : tensor<?x2x!transformer.activation<q8>>) -> tensor<?x7x!transformer.activation<q8>>
  return
}
