// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

// C1
func.func @x_is_not_f32(%x: tensor<?x8xf16>, %rows: tensor<?xi32>) {
  // expected-error @+1 {{operand #0 must be f32 tensor of tokens x columns with a static number of columns, but got 'tensor<?x8xf16>'}}
  %y = transformer.select_rows %x, %rows : (tensor<?x8xf16>, tensor<?xi32>) -> tensor<?x8xf32>
  return
}

// -----

// C2
func.func @rows_have_rank_2(%x: tensor<?x8xf32>, %rows: tensor<?x1xi32>) {
  // expected-error @+1 {{operand #1 must be i32 tensor of rank 1, but got 'tensor<?x1xi32>'}}
  %y = transformer.select_rows %x, %rows : (tensor<?x8xf32>, tensor<?x1xi32>) -> tensor<?x8xf32>
  return
}

// -----

// C3
func.func @result_has_rank_1(%x: tensor<?x8xf32>, %rows: tensor<?xi32>) {
  // expected-error @+1 {{result #0 must be f32 tensor of tokens x columns with a static number of columns, but got 'tensor<8xf32>'}}
  %y = transformer.select_rows %x, %rows : (tensor<?x8xf32>, tensor<?xi32>) -> tensor<8xf32>
  return
}

// -----

// C4
func.func @result_has_other_columns(%x: tensor<?x8xf32>, %rows: tensor<?xi32>) {
  // expected-error @+1 {{expects a result of 8 columns, but got 9}}
  %y = transformer.select_rows %x, %rows : (tensor<?x8xf32>, tensor<?xi32>) -> tensor<?x9xf32>
  return
}

// -----

// C5
func.func @result_has_other_rows(%x: tensor<?x8xf32>, %rows: tensor<2xi32>) {
  // expected-error @+1 {{expects a result of 2 rows, but got 3}}
  %y = transformer.select_rows %x, %rows : (tensor<?x8xf32>, tensor<2xi32>) -> tensor<3x8xf32>
  return
}
