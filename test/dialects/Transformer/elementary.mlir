// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -canonicalize | FileCheck %s

// Constants are left to expand-elementary.
// CHECK-LABEL: func.func @not_folded
// CHECK: transformer.elementary "math.atan2"(%{{.*}}, %{{.*}}) : (f64, f64) -> f64
func.func @not_folded() -> f64 {
  %zero = arith.constant 0.0 : f64
  %y = transformer.elementary "math.atan2"(%zero, %zero) : (f64, f64) -> f64
  return %y : f64
}

// -----

// C1
func.func @unknown(%x: f32) -> f32 {
  // expected-error @+1 {{expects an elementary function of math, but got 'math.floor'}}
  %y = transformer.elementary "math.floor"(%x) : (f32) -> f32
  return %y : f32
}

// -----

// C2
func.func @operands(%x: f32) -> f32 {
  // expected-error @+1 {{expects 2 operands of 'math.powf', but got 1}}
  %y = transformer.elementary "math.powf"(%x) : (f32) -> f32
  return %y : f32
}

// -----

// C3
func.func @another_type(%x: vector<3xf32>) -> vector<3xf64> {
  // expected-error @+1 {{expects a first operand of type 'vector<3xf64>', but got 'vector<3xf32>'}}
  %y = transformer.elementary "math.exp"(%x) : (vector<3xf32>) -> vector<3xf64>
  return %y : vector<3xf64>
}
