// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

// transformer.adapter_slots C1
func.func @slots_are_not_i32(%batch: !transformer.batch) {
  // expected-error @+1 {{result #0 must be i32 tensor of rank 1, but got 'tensor<?xi64>'}}
  %s = transformer.adapter_slots %batch : tensor<?xi64>
  return
}

// -----

// transformer.adapter C1
func.func @matrix_of_f32() {
  // expected-error @+1 {{result #0 must be static f16 tensor of slots x rows x columns, but got 'tensor<3x64x16xf32>'}}
  %a = transformer.adapter "w" down : tensor<3x64x16xf32>
  return
}

// -----

// transformer.adapter C2
func.func @without_a_name() {
  // expected-error @+1 {{expects a name of the tensor}}
  %a = transformer.adapter "" down : tensor<3x64x16xf16>
  return
}

// -----

// transformer.adapter C3
func.func @neither() {
  // expected-error @+1 {{expects one of down and up}}
  %a = transformer.adapter "w" : tensor<3x64x16xf16>
  return
}

// -----

// transformer.adapter C4
func.func @groups_that_do_not_divide() {
  %a = transformer.adapter "w" down groups [13, 16] : tensor<3x64x16xf16>
  // expected-error @+1 {{expects groups [n, m] with 1 <= n <= m, of which m divides 40}}
  %b = transformer.adapter "w" up groups [13, 16] : tensor<3x5x40xf16>
  return
}

// -----

!down = tensor<3x64x16xf16>
!up = tensor<3x5x32xf16>

// transformer.adapt C1
func.func @rows_of_f16(%x: tensor<?x32xf16>, %of: tensor<?x64xf32>, %s: tensor<?xi32>, %a: !down, %b: !up) {
  // expected-error @+1 {{operand #0 must be f32 tensor of tokens x columns with a static number of columns, but got 'tensor<?x32xf16>'}}
  %y = transformer.adapt %x, %of, %s, %a, %b : (tensor<?x32xf16>, tensor<?x64xf32>, tensor<?xi32>, !down, !up) -> tensor<?x32xf32>
  return
}

// -----

// transformer.adapt C2
func.func @other_slots(%x: tensor<?x32xf32>, %of: tensor<?x64xf32>, %s: tensor<?xi32>, %a: tensor<3x64x16xf16>, %b: tensor<4x5x32xf16>) {
  // expected-error @+1 {{expects down and up of as many slots, at least 1, but got 3 and 4}}
  %y = transformer.adapt %x, %of, %s, %a, %b : (tensor<?x32xf32>, tensor<?x64xf32>, tensor<?xi32>, tensor<3x64x16xf16>, tensor<4x5x32xf16>) -> tensor<?x32xf32>
  return
}

// -----

// transformer.adapt C3
func.func @other_rows(%x: tensor<?x32xf32>, %of: tensor<?x64xf32>, %s: tensor<?xi32>, %a: tensor<3x65x16xf16>, %b: tensor<3x5x32xf16>) {
  // expected-error @+1 {{expects down of 64 rows, but got 65}}
  %y = transformer.adapt %x, %of, %s, %a, %b : (tensor<?x32xf32>, tensor<?x64xf32>, tensor<?xi32>, tensor<3x65x16xf16>, tensor<3x5x32xf16>) -> tensor<?x32xf32>
  return
}

// -----

// transformer.adapt C4
func.func @other_columns(%x: tensor<?x32xf32>, %of: tensor<?x64xf32>, %s: tensor<?xi32>, %a: tensor<3x64x16xf16>, %b: tensor<3x5x33xf16>) {
  // expected-error @+1 {{expects up and result of 32 columns, but got 33 and 32}}
  %y = transformer.adapt %x, %of, %s, %a, %b : (tensor<?x32xf32>, tensor<?x64xf32>, tensor<?xi32>, tensor<3x64x16xf16>, tensor<3x5x33xf16>) -> tensor<?x32xf32>
  return
}

// -----

// transformer.adapt C5
func.func @other_ranks(%x: tensor<?x32xf32>, %of: tensor<?x64xf32>, %s: tensor<?xi32>, %a: tensor<3x64x16xf16>, %b: tensor<3x17x32xf16>) {
  // expected-error @+1 {{expects down of 17 columns or more, but got 16}}
  %y = transformer.adapt %x, %of, %s, %a, %b : (tensor<?x32xf32>, tensor<?x64xf32>, tensor<?xi32>, tensor<3x64x16xf16>, tensor<3x17x32xf16>) -> tensor<?x32xf32>
  return
}

// -----

// transformer.adapt C6
func.func @other_tokens(%x: tensor<2x32xf32>, %of: tensor<2x64xf32>, %s: tensor<3xi32>, %a: tensor<3x64x16xf16>, %b: tensor<3x5x32xf16>) {
  // expected-error @+1 {{expects x, of, slots and result of as many tokens}}
  %y = transformer.adapt %x, %of, %s, %a, %b : (tensor<2x32xf32>, tensor<2x64xf32>, tensor<3xi32>, tensor<3x64x16xf16>, tensor<3x5x32xf16>) -> tensor<2x32xf32>
  return
}
