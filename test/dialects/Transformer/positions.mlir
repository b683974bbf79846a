// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

// C1
func.func @result_is_not_i32(%batch: !transformer.batch) {
  // expected-error @+1 {{result #0 must be i32 tensor of rank 1, but got 'tensor<?xi64>'}}
  %y = transformer.positions %batch : tensor<?xi64>
  return
}
