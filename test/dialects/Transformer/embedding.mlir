// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

!table = tensor<8x1x!transformer.block<q4_1>>

// C1
func.func @tokens_are_not_i32(%tokens: tensor<?xi64>, %table: !table) {
  // expected-error @+1 {{operand #0 must be i32 tensor of rank 1, but got 'tensor<?xi64>'}}
  %x = transformer.embedding %tokens, %table : (tensor<?xi64>, !table) -> tensor<?x32xf32>
  return
}

// -----

// C2
func.func @table_is_not_blocks(%tokens: tensor<?xi32>, %table: tensor<8x32xf32>) {
  // expected-error @+1 {{operand #1 must be static tensor of out x blocks of !transformer.block with rows = 1, but got 'tensor<8x32xf32>'}}
  %x = transformer.embedding %tokens, %table : (tensor<?xi32>, tensor<8x32xf32>) -> tensor<?x32xf32>
  return
}

// -----

// C3
func.func @result_has_dynamic_columns(%tokens: tensor<?xi32>, %table: tensor<8x1x!transformer.block<q4_1>>) {
  // expected-error @+1 {{result #0 must be f32 tensor of tokens x columns with a static number of columns, but got 'tensor<?x?xf32>'}}
  %x = transformer.embedding %tokens, %table : (tensor<?xi32>, tensor<8x1x!transformer.block<q4_1>>) -> tensor<?x?xf32>
  return
}

// -----

// C4
func.func @result_has_other_columns(%tokens: tensor<?xi32>, %table: tensor<8x1x!transformer.block<q4_1>>) {
  // expected-error @+1 {{expects a result of 32 columns, but got 64}}
  %x = transformer.embedding %tokens, %table : (tensor<?xi32>, tensor<8x1x!transformer.block<q4_1>>) -> tensor<?x64xf32>
  return
}

// -----

// C5
func.func @result_has_other_tokens(%tokens: tensor<3xi32>, %table: tensor<8x1x!transformer.block<q4_1>>) {
  // expected-error @+1 {{expects a result of 3 tokens, but got 4}}
  %x = transformer.embedding %tokens, %table : (tensor<3xi32>, tensor<8x1x!transformer.block<q4_1>>) -> tensor<4x32xf32>
  return
}

// -----

// C6
func.func @scale_is_infinite(%tokens: tensor<?xi32>, %table: tensor<8x1x!transformer.block<q4_1>>) {
  // expected-error @+1 {{expects a finite scale, but got INF}}
  %x = transformer.embedding %tokens, %table {scale = 0x7FF0000000000000 : f64}
      : (tensor<?xi32>, tensor<8x1x!transformer.block<q4_1>>) -> tensor<?x32xf32>
  return
}
