// RUN: stepdown-opt %s -expand-elementary | FileCheck %s

// CHECK-LABEL: func.func @in_float64(
// CHECK-NOT:     math.exp
// CHECK:         arith.extf %{{.*}} : f32 to f64
// CHECK:         math.fma
// CHECK:         %[[Y:.*]] = arith.truncf %{{.*}} : f64 to f32
// CHECK-NEXT:    return %[[Y]]
func.func @in_float64(%x: f32) -> f32 attributes {transformer.callable} {
  %0 = math.exp %x : f32
  return %0 : f32
}

// CHECK-LABEL: func.func @vectors_the_same(
// CHECK-NOT:     math.log
// CHECK:         math.fma %{{.*}} : vector<8xf64>
func.func @vectors_the_same(%x: vector<8xf64>) -> vector<8xf64> attributes {transformer.callable} {
  %0 = math.log %x : vector<8xf64>
  return %0 : vector<8xf64>
}

// bf16 becomes float32 by its bits, and back to the nearest.
// CHECK-LABEL: func.func @narrow(
// CHECK:         arith.shli %{{.*}} : i32
// CHECK:         %[[S:.*]] = arith.addf %{{.*}} : f32
// CHECK:         arith.bitcast %[[S]] : f32 to i32
// CHECK:         arith.trunci %{{.*}} : i32 to i16
func.func @narrow(%x: bf16) -> bf16 attributes {transformer.callable} {
  %0 = arith.addf %x, %x : bf16
  return %0 : bf16
}

// CHECK-LABEL: func.func @instructions_stay(
// CHECK:         math.sqrt
// CHECK:         math.floor
func.func @instructions_stay(%x: f32) -> f32 attributes {transformer.callable} {
  %0 = math.sqrt %x : f32
  %1 = math.floor %0 : f32
  return %1 : f32
}

// CHECK-LABEL: func.func @kernels_are_left_alone(
// CHECK:         math.exp
func.func @kernels_are_left_alone(%x: f32) -> f32 {
  %0 = math.exp %x : f32
  return %0 : f32
}
