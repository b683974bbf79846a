// RUN: stepdown-opt %s -verify-diagnostics -phase-cpu

module {
  module @kernels {
    func.func @kernel(%x: memref<2xvector<16xf32>>) {
      %c = arith.constant dense<0.0> : vector<16xf32>
      // expected-error @+1 {{'linalg.generic' op expects to be lowered before kernels become LLVM, but is left in @kernel}}
      linalg.generic {indexing_maps = [affine_map<(i) -> (i)>], iterator_types = ["parallel"]} outs(%x : memref<2xvector<16xf32>>) {
      ^bb0(%a: vector<16xf32>):
        linalg.yield %c : vector<16xf32>
      }
      return
    }
  }
}
