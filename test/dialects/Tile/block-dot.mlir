// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

// C1
func.func @accumulator_has_other_lanes(%w: !transformer.block<q4_1, rows = 16>, %a: !transformer.activation<q8>, %t: index,
                                       %acc: vector<8xf32>) {
  // expected-error @+1 {{expects an accumulator of 16 elements}}
  %s = tile.block_dot %w, %a[%t], %acc
      : !transformer.block<q4_1, rows = 16>, !transformer.activation<q8>, vector<8xf32>
  return
}
