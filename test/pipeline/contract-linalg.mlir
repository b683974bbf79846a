// RUN: stepdown-opt %s -verify-diagnostics -phase-linalg

// Kernels hold linalg and what it is made of.
func.func @memory() {
  // expected-error @+1 {{phase 'linalg' expects nothing but transformer, func, linalg, tensor, arith, math in the program, but 'memref.alloc' is left in @memory}}
  %0 = memref.alloc() : memref<7xf32>
  return
}
