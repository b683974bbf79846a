// RUN: stepdown-opt %s -verify-diagnostics -phase-buffers

module {
  module @kernels {
    func.func @kernel(%x: memref<2xf32>, %i: index) {
      // expected-error @+1 {{phase 'buffers' expects nothing but tile, func, linalg, memref, arith, math, vector, scf in a kernel, but 'llvm.intr.trap' is left in @kernel}}
      "llvm.intr.trap"() : () -> ()
      return
    }
  }
}
