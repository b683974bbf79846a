// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

// C1
func.func @x_is_not_f32(%x: tensor<?x8xf16>, %b: tensor<8xf32>) {
  // expected-error @+1 {{operand #0 must be f32 tensor of tokens x columns with a static number of columns, but got 'tensor<?x8xf16>'}}
  %y = transformer.add_bias %x, %b : tensor<?x8xf16>, tensor<8xf32>
  return
}

// -----

// C2
func.func @bias_is_dynamic(%x: tensor<?x8xf32>, %b: tensor<?xf32>) {
  // expected-error @+1 {{operand #1 must be f32 tensor of one static dimension, but got 'tensor<?xf32>'}}
  %y = transformer.add_bias %x, %b : tensor<?x8xf32>, tensor<?xf32>
  return
}

// -----

// C3
func.func @bias_has_other_elements(%x: tensor<?x8xf32>, %b: tensor<7xf32>) {
  // expected-error @+1 {{expects a bias of 8 elements, but got 7}}
  %y = transformer.add_bias %x, %b : tensor<?x8xf32>, tensor<7xf32>
  return
}
