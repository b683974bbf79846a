// RUN: stepdown-opt %s -verify-diagnostics -phase-packing

// What no kernel holds is no kernel's to lower.
func.func @arithmetic(%x: f32) -> f32 {
  // expected-error @+1 {{phase 'packing' expects nothing but transformer, func in the program, but 'arith.mulf' is left in @arithmetic}}
  %0 = arith.mulf %x, %x : f32
  return %0 : f32
}
