// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -phase-transformer

func.func @allowed(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
  %0 = transformer.add %x, %x : tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}

// -----

func.func @arithmetic_in_the_program(%x: f32) -> f32 {
  // expected-error @+1 {{phase 'transformer' expects nothing but transformer, func in the program, but 'arith.addf' is left in @arithmetic_in_the_program}}
  %0 = arith.addf %x, %x : f32
  return %0 : f32
}
