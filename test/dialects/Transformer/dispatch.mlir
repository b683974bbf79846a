// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

// C1
func.func @dims_missing(%x: tensor<?x8xf32>) {
  // expected-error @+1 {{expects dims for every pair of sources}}
  %y = transformer.dispatch @k(%x) sources [0, 0, 1, 0] dims [array<i64: -1, 8>] : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// C1
func.func @dims_are_not_numbers(%x: tensor<?x8xf32>) {
  // expected-error @+1 {{expects dims to be arrays of i64}}
  %y = transformer.dispatch @k(%x) sources [0, 0] dims ["all"] : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// C2
func.func @source_past_the_results(%x: tensor<?x8xf32>) {
  // expected-error @+1 {{expects sources below 2}}
  %y = transformer.dispatch @k(%x) sources [2, 0] dims [array<i64: -1, 8>] : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// C3
func.func @inplace_names_no_result(%x: tensor<?x8xf32>) {
  // expected-error @+1 {{expects inplace pairs of an input and a result}}
  %y = transformer.dispatch @k(%x) sources [0, 0] dims [array<i64: -1, 8>] {inplace = array<i64: 0, 1>}
      : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// C3
func.func @inplace_is_half_a_pair(%x: tensor<?x8xf32>) {
  // expected-error @+1 {{expects inplace pairs of an input and a result}}
  %y = transformer.dispatch @k(%x) sources [0, 0] dims [array<i64: -1, 8>] {inplace = array<i64: 0>}
      : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return
}
