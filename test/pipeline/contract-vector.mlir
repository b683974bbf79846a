// RUN: stepdown-opt %s -verify-diagnostics -phase-vector

module {
  module @kernels {
    func.func @kernel(%x: memref<2xf32>, %i: index) {
      %c = arith.constant 0.0 : f32
      // expected-error @+1 {{phase 'vector' expects nothing but tile, func, memref, arith, math, vector, scf, llvm in a kernel, but 'affine.store' is left in @kernel}}
      affine.store %c, %x[0] : memref<2xf32>
      return
    }
  }
}
