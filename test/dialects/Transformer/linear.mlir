// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

// C1
func.func @x_is_not_f32(%x: tensor<?x32xf16>, %w: tensor<8x1x!transformer.block<q4_1>>) {
  // expected-error @+1 {{operand #0 must be f32 tensor of tokens x columns with a static number of columns, or its activation blocks, but got 'tensor<?x32xf16>'}}
  %y = transformer.linear %x, %w : (tensor<?x32xf16>, tensor<8x1x!transformer.block<q4_1>>) -> tensor<?x8xf32>
  return
}

// -----

// C2
func.func @weight_is_not_blocks(%x: tensor<?x32xf32>, %w: tensor<8x32xf32>) {
  // expected-error @+1 {{operand #1 must be static tensor of out x blocks of !transformer.block with rows = 1, but got 'tensor<8x32xf32>'}}
  %y = transformer.linear %x, %w : (tensor<?x32xf32>, tensor<8x32xf32>) -> tensor<?x8xf32>
  return
}

// -----

// C3
func.func @bias_is_dynamic(%x: tensor<?x32xf32>, %w: tensor<8x1x!transformer.block<q4_1>>, %b: tensor<?xf32>) {
  // expected-error @+1 {{operand #2 must be f32 tensor of one static dimension, but got 'tensor<?xf32>'}}
  %y = transformer.linear %x, %w, %b
      : (tensor<?x32xf32>, tensor<8x1x!transformer.block<q4_1>>, tensor<?xf32>) -> tensor<?x8xf32>
  return
}

// -----

// C4
func.func @result_has_rank_1(%x: tensor<?x32xf32>, %w: tensor<8x1x!transformer.block<q4_1>>) {
  // expected-error @+1 {{result #0 must be f32 tensor of tokens x columns with a static number of columns, but got 'tensor<8xf32>'}}
  %y = transformer.linear %x, %w : (tensor<?x32xf32>, tensor<8x1x!transformer.block<q4_1>>) -> tensor<8xf32>
  return
}

// -----

// C5
func.func @weight_has_other_columns(%x: tensor<?x576xf32>, %w: tensor<8x16x!transformer.block<q4_1>>) {
  // expected-error @+1 {{expects a weight of 576 columns, but got 512}}
  %y = transformer.linear %x, %w : (tensor<?x576xf32>, tensor<8x16x!transformer.block<q4_1>>) -> tensor<?x8xf32>
  return
}

// -----

// C6
func.func @result_has_other_columns(%x: tensor<?x32xf32>, %w: tensor<8x1x!transformer.block<q4_1>>) {
  // expected-error @+1 {{expects a result of 8 columns, but got 9}}
  %y = transformer.linear %x, %w : (tensor<?x32xf32>, tensor<8x1x!transformer.block<q4_1>>) -> tensor<?x9xf32>
  return
}

// -----

// C7
func.func @bias_has_other_elements(%x: tensor<?x32xf32>, %w: tensor<8x1x!transformer.block<q4_1>>, %b: tensor<7xf32>) {
  // expected-error @+1 {{expects a bias of 8 elements, but got 7}}
  %y = transformer.linear %x, %w, %b
      : (tensor<?x32xf32>, tensor<8x1x!transformer.block<q4_1>>, tensor<7xf32>) -> tensor<?x8xf32>
  return
}

// -----

// C8
func.func @result_has_other_tokens(%x: tensor<2x32xf32>, %w: tensor<8x1x!transformer.block<q4_1>>) {
  // expected-error @+1 {{expects a result of 2 tokens, but got 3}}
  %y = transformer.linear %x, %w : (tensor<2x32xf32>, tensor<8x1x!transformer.block<q4_1>>) -> tensor<3x8xf32>
  return
}
