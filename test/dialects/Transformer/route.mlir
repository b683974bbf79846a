// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

// C1
func.func @z_is_not_f32(%z: tensor<?x5xf16>) {
  // expected-error @+1 {{operand #0 must be f32 tensor of tokens x columns with a static number of columns, but got 'tensor<?x5xf16>'}}
  %i, %w = transformer.route %z {experts = 5 : i64, used = 2 : i64} : tensor<?x5xf16> -> tensor<?x2xi32>, tensor<?x2xf32>
  return
}

// -----

// C2
func.func @more_experts_than_columns(%z: tensor<?x5xf32>) {
  // expected-error @+1 {{expects 1 to the 5 experts that z has columns for, but got 7}}
  %i, %w = transformer.route %z {experts = 7 : i64, used = 2 : i64} : tensor<?x5xf32> -> tensor<?x2xi32>, tensor<?x2xf32>
  return
}

// -----

// C3
func.func @more_used_than_experts(%z: tensor<?x5xf32>) {
  // expected-error @+1 {{expects to use 1 to 5 experts, but got 6}}
  %i, %w = transformer.route %z {experts = 5 : i64, used = 6 : i64} : tensor<?x5xf32> -> tensor<?x6xi32>, tensor<?x6xf32>
  return
}

// -----

// C3
func.func @too_many_used(%z: tensor<?x67xf32>) {
  // expected-error @+1 {{expects to use 1 to 64 experts, but got 65}}
  %i, %w = transformer.route %z {experts = 67 : i64, used = 65 : i64} : tensor<?x67xf32> -> tensor<?x65xi32>, tensor<?x65xf32>
  return
}

// -----

// C4
func.func @other_ranks(%z: tensor<?x5xf32>) {
  // expected-error @+1 {{expects ids of 2 ranks, but got 3}}
  %i, %w = transformer.route %z {experts = 5 : i64, used = 2 : i64} : tensor<?x5xf32> -> tensor<?x3xi32>, tensor<?x2xf32>
  return
}

// -----

// C4
func.func @ids_are_not_i32(%z: tensor<?x5xf32>) {
  // expected-error @+1 {{result #0 must be i32 tensor of tokens x ranks with a static number of ranks, but got 'tensor<?x2xi64>'}}
  %i, %w = transformer.route %z {experts = 5 : i64, used = 2 : i64} : tensor<?x5xf32> -> tensor<?x2xi64>, tensor<?x2xf32>
  return
}

// -----

// C5
func.func @too_few_weights(%z: tensor<?x5xf32>) {
  // expected-error @+1 {{expects weights of 3 columns or more, but got 2}}
  %i, %w = transformer.route %z {experts = 5 : i64, used = 3 : i64} : tensor<?x5xf32> -> tensor<?x3xi32>, tensor<?x2xf32>
  return
}

// -----

// C6
func.func @other_tokens(%z: tensor<2x5xf32>) {
  // expected-error @+1 {{expects z, ids and weights of as many tokens}}
  %i, %w = transformer.route %z {experts = 5 : i64, used = 2 : i64} : tensor<2x5xf32> -> tensor<3x2xi32>, tensor<2x2xf32>
  return
}

// -----

// C7
func.func @no_scale(%z: tensor<?x5xf32>) {
  // expected-error @+1 {{expects a finite and positive scale, but got 0}}
  %i, %w = transformer.route %z {experts = 5 : i64, used = 2 : i64, scale = 0.0 : f64} : tensor<?x5xf32> -> tensor<?x2xi32>, tensor<?x2xf32>
  return
}
