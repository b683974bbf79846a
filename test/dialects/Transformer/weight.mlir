// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

// C1
func.func @result_has_a_dynamic_dimension() {
  // expected-error @+1 {{result #0 must be static tensor of out x blocks of !transformer.block with rows = 1, or of one dimension of f32, but got 'tensor<?x18x!transformer.block<q4_1>>'}}
  %w = transformer.weight "w" : tensor<?x18x!transformer.block<q4_1>>
  return
}

// -----

// C1
func.func @result_has_packed_blocks() {
  // expected-error @+1 {{result #0 must be static tensor of out x blocks of !transformer.block with rows = 1, or of one dimension of f32, but got 'tensor<4x18x!transformer.block<q4_1, rows = 16>>'}}
  %w = transformer.weight "w" : tensor<4x18x!transformer.block<q4_1, rows = 16>>
  return
}

// -----

// C2
func.func @name_is_empty() {
  // expected-error @+1 {{expects a tensor name with at most one '{layer}', but got ''}}
  %w = transformer.weight "" : tensor<4xf32>
  return
}

// -----

// C2
func.func @name_has_another_brace() {
  // expected-error @+1 {{expects a tensor name with at most one '{layer}', but got 'blk.{index}.w'}}
  %w = transformer.weight "blk.{index}.w" : tensor<4xf32>
  return
}

// -----

// C3
func.func @rows_are_not_as_many_as_the_result() {
  // expected-error @+1 {{expects rows [begin, end] of 8 rows, but got [4, 8]}}
  %w = transformer.weight "w" rows [4, 8] : tensor<8x1x!transformer.block<q4_1>>
  return
}

// -----

// C3
func.func @rows_begin_below_zero() {
  // expected-error @+1 {{expects rows [begin, end] of 8 rows, but got [-1, 7]}}
  %w = transformer.weight "w" rows [-1, 7] : tensor<8x1x!transformer.block<q4_1>>
  return
}

// -----

// C3, C4
func.func @rows_without_the_zeros_of_groups() {
  %w = transformer.weight "w" rows [5, 31] groups [13, 16] columns 7 : tensor<32x32x!transformer.block<f16>>
  // expected-error @+1 {{expects rows [begin, end] of 26 rows, but got [0, 32]}}
  %u = transformer.weight "w" rows [0, 32] groups [13, 16] : tensor<32x32x!transformer.block<f16>>
  return
}

// -----

// C4
func.func @groups_that_do_not_divide() {
  // expected-error @+1 {{expects groups [n, m] with 1 <= n <= m and m a divisor of 24 rows, but got [13, 16]}}
  %w = transformer.weight "w" groups [13, 16] : tensor<24xf32>
  return
}

// -----

// C5
func.func @columns_of_quantised_blocks() {
  // expected-error @+1 {{expects columns of a matrix of blocks of one value, 1 to those of 'tensor<16x1x!transformer.block<q8_0>>', but got 31}}
  %w = transformer.weight "w" columns 31 : tensor<16x1x!transformer.block<q8_0>>
  return
}
