// RUN: stepdown-opt %s -verify-diagnostics -phase-tiles

module {
  module @kernels {
    func.func @kernel(%x: tensor<2xf32>, %i: index) {
      // expected-error @+1 {{phase 'tiles' expects nothing but tile, func, linalg, tensor, arith, math, vector, scf in a kernel, but 'llvm.intr.trap' is left in @kernel}}
      "llvm.intr.trap"() : () -> ()
      return
    }
  }
}
