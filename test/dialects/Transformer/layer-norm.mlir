// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

// C1
func.func @x_is_not_f32(%x: tensor<?x8xf16>, %w: tensor<8xf32>) {
  // expected-error @+1 {{operand #0 must be f32 tensor of tokens x columns with a static number of columns, but got 'tensor<?x8xf16>'}}
  %y = transformer.layer_norm %x, %w, %w {eps = 1.0e-5 : f64} : tensor<?x8xf16>, tensor<8xf32>, tensor<8xf32>
  return
}

// -----

// C2
func.func @bias_is_dynamic(%x: tensor<?x8xf32>, %w: tensor<8xf32>, %b: tensor<?xf32>) {
  // expected-error @+1 {{operand #2 must be f32 tensor of one static dimension, but got 'tensor<?xf32>'}}
  %y = transformer.layer_norm %x, %w, %b {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<8xf32>, tensor<?xf32>
  return
}

// -----

// C3
func.func @bias_has_other_elements(%x: tensor<?x8xf32>, %w: tensor<8xf32>, %b: tensor<4xf32>) {
  // expected-error @+1 {{expects weight and bias of 8 elements, but got 8 and 4}}
  %y = transformer.layer_norm %x, %w, %b {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<8xf32>, tensor<4xf32>
  return
}

// -----

// C3
func.func @weight_has_other_elements(%x: tensor<?x8xf32>, %w: tensor<4xf32>) {
  // expected-error @+1 {{expects weight and bias of 8 elements, but got 4 and 4}}
  %y = transformer.layer_norm %x, %w {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<4xf32>
  return
}

// -----

// C4
func.func @eps_is_not_a_number(%x: tensor<?x8xf32>, %w: tensor<8xf32>) {
  // expected-error @+1 {{expects a finite eps that is not negative, but got nan}}
  %y = transformer.layer_norm %x, %w, %w {eps = 0x7FF8000000000000 : f64} : tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>
  return
}
