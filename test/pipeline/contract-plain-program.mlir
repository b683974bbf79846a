// RUN: stepdown-opt %s -verify-diagnostics -phase-tiles=input=functions

// A plain module has all of its functions in @kernels: outside nothing would be compiled.
module attributes {transformer.plain} {
  func.func @outside() {
    // expected-error @+1 {{phase 'tiles' expects nothing in the program, but 'func.return' is left in @outside}}
    return
  }
  module @kernels {
  }
}
