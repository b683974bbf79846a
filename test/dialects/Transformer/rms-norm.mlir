// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

// C1
func.func @x_is_not_f32(%x: tensor<?x8xf16>, %w: tensor<8xf32>) {
  // expected-error @+1 {{operand #0 must be f32 tensor of tokens x columns with a static number of columns, but got 'tensor<?x8xf16>'}}
  %y = transformer.rms_norm %x, %w {eps = 1.0e-5 : f64} : tensor<?x8xf16>, tensor<8xf32>
  return
}

// -----

// C2
func.func @weight_is_dynamic(%x: tensor<?x8xf32>, %w: tensor<?xf32>) {
  // expected-error @+1 {{operand #1 must be f32 tensor of one static dimension, but got 'tensor<?xf32>'}}
  %y = transformer.rms_norm %x, %w {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<?xf32>
  return
}

// -----

// C3
func.func @weight_does_not_divide_the_columns(%x: tensor<?x576xf32>, %w: tensor<512xf32>) {
  // expected-error @+1 {{expects a weight whose elements divide 576 columns, but got 512}}
  %y = transformer.rms_norm %x, %w {eps = 1.0e-5 : f64} : tensor<?x576xf32>, tensor<512xf32>
  return
}

// -----

// C4
func.func @eps_is_negative(%x: tensor<?x8xf32>, %w: tensor<8xf32>) {
  // expected-error @+1 {{expects a finite eps that is not negative, but got -1.000000e+00}}
  %y = transformer.rms_norm %x, %w {eps = -1.0 : f64} : tensor<?x8xf32>, tensor<8xf32>
  return
}

// -----

// C5
func.func @padding_of_all_columns(%x: tensor<?x16xf32>, %w: tensor<8xf32>) {
  // expected-error @+1 {{expects a padding of 0 to 7 columns, but got 8}}
  %y = transformer.rms_norm %x, %w {eps = 1.0e-5 : f64, padding = 8 : i64} : tensor<?x16xf32>, tensor<8xf32>
  return
}
