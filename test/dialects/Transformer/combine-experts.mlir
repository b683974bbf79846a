// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

// C1
func.func @weights_are_not_f32(%x: tensor<?x64xf32>, %w: tensor<?x2xf16>) {
  // expected-error @+1 {{operand #1 must be f32 tensor of tokens x columns with a static number of columns, but got 'tensor<?x2xf16>'}}
  %y = transformer.combine_experts %x, %w : (tensor<?x64xf32>, tensor<?x2xf16>) -> tensor<?x32xf32>
  return
}

// -----

// C2
func.func @result_has_rank_1(%x: tensor<?x64xf32>, %w: tensor<?x2xf32>) {
  // expected-error @+1 {{result #0 must be f32 tensor of tokens x columns with a static number of columns, but got 'tensor<32xf32>'}}
  %y = transformer.combine_experts %x, %w : (tensor<?x64xf32>, tensor<?x2xf32>) -> tensor<32xf32>
  return
}

// -----

// C3
func.func @a_part_of_a_rank(%x: tensor<?x64xf32>, %w: tensor<?x3xf32>) {
  // expected-error @+1 {{expects a result whose columns divide the 64 of x, but got 24}}
  %y = transformer.combine_experts %x, %w : (tensor<?x64xf32>, tensor<?x3xf32>) -> tensor<?x24xf32>
  return
}

// -----

// C4
func.func @ranks_without_weights(%x: tensor<?x96xf32>, %w: tensor<?x2xf32>) {
  // expected-error @+1 {{expects 1 to 2 ranks, each with a weight, but got 3}}
  %y = transformer.combine_experts %x, %w : (tensor<?x96xf32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  return
}

// -----

// C5
func.func @other_tokens(%x: tensor<2x64xf32>, %w: tensor<3x2xf32>) {
  // expected-error @+1 {{expects x, weights and result of as many tokens}}
  %y = transformer.combine_experts %x, %w : (tensor<2x64xf32>, tensor<3x2xf32>) -> tensor<2x32xf32>
  return
}
