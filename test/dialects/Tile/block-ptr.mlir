// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

// C1
func.func @index_missing(%w: memref<4x2x!transformer.block<q4_1>>, %i: index) {
  // expected-error @+1 {{expects 2 indices}}
  %p = tile.block_ptr %w[%i] : memref<4x2x!transformer.block<q4_1>> -> !llvm.ptr
  return
}
