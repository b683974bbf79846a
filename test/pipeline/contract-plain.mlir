// RUN: stepdown-opt %s -verify-diagnostics -phase-fusion=input=functions

module attributes {transformer.plain} {
  module @kernels {
    func.func @a_buffer_too_early(%x: memref<4xf32>) {
      // expected-error @+1 {{phase 'fusion' expects nothing but func, linalg, tensor, arith, math, scf, affine, cf, transformer in a function, but 'memref.dealloc' is left in @a_buffer_too_early}}
      memref.dealloc %x : memref<4xf32>
      return
    }
  }
}
