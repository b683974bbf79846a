// RUN: stepdown-opt %s -split-input-file -verify-diagnostics | stepdown-opt | FileCheck %s

// CHECK-LABEL: @of_64_lanes
// CHECK: tile.warp_mma(%[[X:.*]], %[[X]], %[[X]], %[[X]]) (%[[X]], %[[X]], %[[X]], %[[X]]) (%[[S:.*]], %[[S]], %[[S]], %[[S]]) : f32, f32, f32, f32
func.func @of_64_lanes(%x: f16, %s: f32) -> f32 {
  %r:4 = tile.warp_mma (%x, %x, %x, %x) (%x, %x, %x, %x) (%s, %s, %s, %s) : f32, f32, f32, f32
  return %r#0 : f32
}

// -----

// C1
func.func @fewer_of_b(%x: f16, %s: f32) {
  // expected-error @+1 {{expects as many elements of a as of b, and as many results as sums (C1), but got 4, 3, 4 and 4}}
  %r:4 = tile.warp_mma (%x, %x, %x, %x) (%x, %x, %x) (%s, %s, %s, %s) : f32, f32, f32, f32
  return
}

// -----

// C1
func.func @fewer_results(%x: f16, %s: f32) {
  // expected-error @+1 {{(C1), but got 4, 4, 3 and 4}}
  %r:3 = tile.warp_mma (%x, %x, %x, %x) (%x, %x, %x, %x) (%s, %s, %s, %s) : f32, f32, f32
  return
}

// -----

// C2
func.func @of_no_wave(%x: f16, %s: f32) {
  // expected-error @+1 {{expects 4 elements of an operand and 4 sums, 8 and 8, or 16 and 8 (C2), but got 2 and 2}}
  %r:2 = tile.warp_mma (%x, %x) (%x, %x) (%s, %s) : f32, f32
  return
}

// -----

// C2
func.func @more_sums(%x: f16, %s: f32) {
  // expected-error @+1 {{(C2), but got 4 and 8}}
  %r:8 = tile.warp_mma (%x, %x, %x, %x) (%x, %x, %x, %x) (%s, %s, %s, %s, %s, %s, %s, %s) : f32, f32, f32, f32, f32, f32, f32, f32
  return
}
