// RUN: stepdown-opt %s -expand-math | FileCheck %s

// One polynomial for a scalar and for 16 lanes.
// CHECK-LABEL: @exp_of_lanes
// CHECK: math.roundeven %{{.*}} : vector<16xf32>
// CHECK-COUNT-5: math.fma
// CHECK: arith.shli
// CHECK-NOT: math.exp
func.func @exp_of_lanes(%x: vector<16xf32>) -> vector<16xf32> {
  %0 = math.exp %x : vector<16xf32>
  return %0 : vector<16xf32>
}

// CHECK-LABEL: @exp_of_a_number
// CHECK: math.roundeven %{{.*}} : f32
// CHECK-COUNT-5: math.fma
// CHECK: arith.shli
// CHECK-NOT: math.exp
func.func @exp_of_a_number(%x: f32) -> f32 {
  %0 = math.exp %x : f32
  return %0 : f32
}

// CHECK-LABEL: @tanh_and_erf
// CHECK-NOT: math.tanh
// CHECK-NOT: math.erf
// CHECK: math.copysign
func.func @tanh_and_erf(%x: vector<16xf32>) -> (vector<16xf32>, vector<16xf32>) {
  %0 = math.tanh %x : vector<16xf32>
  %1 = math.erf %x : vector<16xf32>
  return %0, %1 : vector<16xf32>, vector<16xf32>
}

// The polynomial is good for float32 alone; exact operations stay what they are.
// CHECK-LABEL: @what_stays
// CHECK: math.exp %{{.*}} : f64
// CHECK: math.sqrt
func.func @what_stays(%x: f64, %y: f32) -> (f64, f32) {
  %0 = math.exp %x : f64
  %1 = math.sqrt %y : f32
  return %0, %1 : f64, f32
}
