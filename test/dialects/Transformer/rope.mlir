// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

// C1
func.func @x_is_not_f32(%x: tensor<?x8xf16>, %batch: !transformer.batch) {
  // expected-error @+1 {{operand #0 must be f32 tensor of tokens x columns with a static number of columns, but got 'tensor<?x8xf16>'}}
  %y = transformer.rope half %x, %batch {head_dim = 4 : i64, inverse_frequencies = array<f64: 1.0>} : tensor<?x8xf16>
  return
}

// -----

// C2
func.func @head_does_not_divide_the_columns(%x: tensor<?x8xf32>, %batch: !transformer.batch) {
  // expected-error @+1 {{expects a positive head_dim that divides 8 columns, but got 3}}
  %y = transformer.rope half %x, %batch {head_dim = 3 : i64, inverse_frequencies = array<f64: 1.0>} : tensor<?x8xf32>
  return
}

// -----

// C2
func.func @head_is_empty(%x: tensor<?x8xf32>, %batch: !transformer.batch) {
  // expected-error @+1 {{expects a positive head_dim that divides 8 columns, but got 0}}
  %y = transformer.rope half %x, %batch {head_dim = 0 : i64, inverse_frequencies = array<f64: 1.0>} : tensor<?x8xf32>
  return
}

// -----

// C3
func.func @more_pairs_than_the_head_has(%x: tensor<?x8xf32>, %batch: !transformer.batch) {
  // expected-error @+1 {{expects between 1 and 2 inverse frequencies, but got 3}}
  %y = transformer.rope half %x, %batch
      {head_dim = 4 : i64, inverse_frequencies = array<f64: 1.0, 0.5, 0.25>} : tensor<?x8xf32>
  return
}

// -----

// C4
func.func @frequency_is_negative(%x: tensor<?x8xf32>, %batch: !transformer.batch) {
  // expected-error @+1 {{expects finite inverse frequencies that are not negative, but got -5.000000e-01}}
  %y = transformer.rope half %x, %batch {head_dim = 4 : i64, inverse_frequencies = array<f64: 1.0, -0.5>} : tensor<?x8xf32>
  return
}

// -----

// C5
func.func @attention_factor_is_zero(%x: tensor<?x8xf32>, %batch: !transformer.batch) {
  // expected-error @+1 {{expects a finite and positive attention_factor, but got 0.000000e+00}}
  %y = transformer.rope half %x, %batch
      {attention_factor = 0.0 : f64, head_dim = 4 : i64, inverse_frequencies = array<f64: 1.0>} : tensor<?x8xf32>
  return
}

// -----

// C6
func.func @tables_without_kernel(%x: tensor<?x8xf32>, %batch: !transformer.batch, %c: tensor<5x2x1xf32>, %f: tensor<64x2x1xf32>) {
  // expected-error @+1 {{expects two tables in a transformer.kernel, elsewhere none (C6), but got 2}}
  %y = transformer.rope half %x, %batch tables(%c, %f : tensor<5x2x1xf32>, tensor<64x2x1xf32>)
      {head_dim = 4 : i64, inverse_frequencies = array<f64: 1.0>} : tensor<?x8xf32>
  return
}

// -----

// C6
func.func @one_table(%x: tensor<?x8xf32>, %batch: !transformer.batch, %c: tensor<5x2x1xf32>) -> tensor<?x8xf32> {
  %0 = transformer.kernel "rope_append" (%a = %x : tensor<?x8xf32>, %b = %batch : !transformer.batch, %t = %c : tensor<5x2x1xf32>) -> (tensor<?x8xf32>) {
    // expected-error @+1 {{expects two tables in a transformer.kernel, elsewhere none (C6), but got 1}}
    %y = "transformer.rope"(%a, %b, %t) <{pairs = #transformer<pairs half>, head_dim = 4 : i64, inverse_frequencies = array<f64: 1.0>,
        operandSegmentSizes = array<i32: 1, 1, 1, 0>}> : (tensor<?x8xf32>, !transformer.batch, tensor<5x2x1xf32>) -> tensor<?x8xf32>
    transformer.yield %y : tensor<?x8xf32>
  }
  return %0 : tensor<?x8xf32>
}

// -----

// C6
func.func @tables_of_other_shapes(%x: tensor<?x8xf32>, %batch: !transformer.batch, %c: tensor<5x3x1xf32>) -> tensor<?x8xf32> {
  %0 = transformer.kernel "rope_append" (%a = %x : tensor<?x8xf32>, %b = %batch : !transformer.batch, %t = %c : tensor<5x3x1xf32>) -> (tensor<?x8xf32>) {
    // expected-error @+1 {{operand #2 must be f32 tensor of rows x 2 x pairs with a static number of pairs, but got 'tensor<5x3x1xf32>'}}
    %y = transformer.rope half %a, %b tables(%t, %t : tensor<5x3x1xf32>, tensor<5x3x1xf32>)
        {head_dim = 4 : i64, inverse_frequencies = array<f64: 1.0>} : tensor<?x8xf32>
    transformer.yield %y : tensor<?x8xf32>
  }
  return %0 : tensor<?x8xf32>
}

// -----

// C6
func.func @tables_of_other_pairs(%x: tensor<?x8xf32>, %batch: !transformer.batch, %c: tensor<5x2x3xf32>) -> tensor<?x8xf32> {
  %0 = transformer.kernel "rope_append" (%a = %x : tensor<?x8xf32>, %b = %batch : !transformer.batch, %t = %c : tensor<5x2x3xf32>) -> (tensor<?x8xf32>) {
    // expected-error @+1 {{expects tables of 1 pairs (C6), but got 'tensor<5x2x3xf32>'}}
    %y = transformer.rope half %a, %b tables(%t, %t : tensor<5x2x3xf32>, tensor<5x2x3xf32>)
        {head_dim = 4 : i64, inverse_frequencies = array<f64: 1.0>} : tensor<?x8xf32>
    transformer.yield %y : tensor<?x8xf32>
  }
  return %0 : tensor<?x8xf32>
}
