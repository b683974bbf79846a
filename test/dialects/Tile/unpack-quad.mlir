// RUN: stepdown-opt %s -split-input-file -verify-diagnostics | stepdown-opt | FileCheck %s

// CHECK-LABEL: @quad
// CHECK: tile.unpack_quad %{{.*}}[%{{.*}}, %{{.*}}] row %{{.*}} quad %{{.*}} : memref<?x?x!transformer.block<q4_1, rows = 16>>
func.func @quad(%w: memref<?x?x!transformer.block<q4_1, rows = 16>>, %i: index) -> f32 {
  %v:4 = tile.unpack_quad %w[%i, %i] row %i quad %i : memref<?x?x!transformer.block<q4_1, rows = 16>>
  return %v#0 : f32
}

// -----

// C1
func.func @one_index(%w: memref<?x?x!transformer.block<q4_1, rows = 16>>, %i: index) {
  // expected-error @+1 {{expects 2 indices (C1), but got 1}}
  %v:4 = tile.unpack_quad %w[%i] row %i quad %i : memref<?x?x!transformer.block<q4_1, rows = 16>>
  return
}

// -----

// C2
func.func @block_of_the_file(%w: memref<?x!transformer.block<q4_1>>, %i: index) {
  // expected-error @+1 {{expects packed blocks (C2), but got 'memref<?x!transformer.block<q4_1>>'}}
  %v:4 = tile.unpack_quad %w[%i] row %i quad %i : memref<?x!transformer.block<q4_1>>
  return
}

// -----

// CHECK-LABEL: @halves
// CHECK: tile.unpack_halves %{{.*}}[%{{.*}}, %{{.*}}] row %{{.*}} quad %{{.*}} : memref<?x?x!transformer.block<q4_k, rows = 16>>
func.func @halves(%w: memref<?x?x!transformer.block<q4_k, rows = 16>>, %i: index) -> f16 {
  %v:4 = tile.unpack_halves %w[%i, %i] row %i quad %i : memref<?x?x!transformer.block<q4_k, rows = 16>>
  return %v#0 : f16
}

// -----

// C1
func.func @halves_of_one_index(%w: memref<?x?x!transformer.block<q4_1, rows = 16>>, %i: index) {
  // expected-error @+1 {{expects 2 indices (C1), but got 1}}
  %v:4 = tile.unpack_halves %w[%i] row %i quad %i : memref<?x?x!transformer.block<q4_1, rows = 16>>
  return
}

// -----

// C2
func.func @halves_of_floats(%w: memref<?x!transformer.block<f32, rows = 16>>, %i: index) {
  // expected-error @+1 {{expects quantised blocks with scales of binary16 (C2), but got '!transformer.block<f32, rows = 16>'}}
  %v:4 = tile.unpack_halves %w[%i] row %i quad %i : memref<?x!transformer.block<f32, rows = 16>>
  return
}

// -----

// C2
func.func @halves_of_wide_scales(%w: memref<?x!transformer.block<mxfp4, rows = 16>>, %i: index) {
  // expected-error @+1 {{expects quantised blocks with scales of binary16 (C2), but got '!transformer.block<mxfp4, rows = 16>'}}
  %v:4 = tile.unpack_halves %w[%i] row %i quad %i : memref<?x!transformer.block<mxfp4, rows = 16>>
  return
}
