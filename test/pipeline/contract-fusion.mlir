// RUN: stepdown-opt %s -verify-diagnostics -phase-fusion

func.func @no_fusion_takes_arithmetic(%x: f32) -> f32 {
  // expected-error @+1 {{phase 'fusion' expects nothing but transformer, func in the program, but 'arith.mulf' is left in @no_fusion_takes_arithmetic}}
  %0 = arith.mulf %x, %x : f32
  return %0 : f32
}
