// RUN: stepdown-opt %s -expand-elementary | FileCheck %s

// CHECK-LABEL: func.func @in_float64(
// CHECK-NOT:     math.exp
// CHECK:         arith.extf %{{.*}} : f32 to f64
// CHECK:         math.fma
// CHECK:         %[[Y:.*]] = arith.truncf %{{.*}} : f64 to f32
// CHECK-NEXT:    return %[[Y]]
func.func @in_float64(%x: f32) -> f32 {
  %0 = math.exp %x : f32
  return %0 : f32
}

// CHECK-LABEL: func.func @vectors_the_same(
// CHECK-NOT:     math.log
// CHECK:         math.fma %{{.*}} : vector<8xf64>
func.func @vectors_the_same(%x: vector<8xf64>) -> vector<8xf64> {
  %0 = math.log %x : vector<8xf64>
  return %0 : vector<8xf64>
}

// bf16 becomes float32 by its bits, and back to the nearest.
// CHECK-LABEL: func.func @narrow(
// CHECK:         arith.shli %{{.*}} : i32
// CHECK:         %[[S:.*]] = arith.addf %{{.*}} : f32
// CHECK:         arith.bitcast %[[S]] : f32 to i32
// CHECK:         arith.trunci %{{.*}} : i32 to i16
func.func @narrow(%x: bf16) -> bf16 {
  %0 = arith.addf %x, %x : bf16
  return %0 : bf16
}

// CHECK-LABEL: func.func @instructions_stay(
// CHECK:         math.sqrt
// CHECK:         math.floor
func.func @instructions_stay(%x: f32) -> f32 {
  %0 = math.sqrt %x : f32
  %1 = math.floor %0 : f32
  return %1 : f32
}

// The smaller bound last, so that it wins where the bounds cross: LLVM 22.1 had them exchanged.
// CHECK-LABEL: func.func @clamp
// CHECK: %[[BELOW:.*]] = arith.minimumf %arg0, %arg2
// CHECK: arith.maximumf %[[BELOW]], %arg1
func.func @clamp(%x: f32, %low: f32, %high: f32) -> f32 {
  %0 = math.clampf %x to [%low, %high] : f32
  return %0 : f32
}

// CHECK-LABEL: func.func @infinite
// CHECK-NOT: math.isinf
// CHECK: arith.cmpf oeq
func.func @infinite(%x: f64) -> i1 {
  %0 = math.isinf %x : f64
  return %0 : i1
}

// A comparison and a choice, since LLVM makes a call of fmaxf of the maximum.
// CHECK-LABEL: func.func @larger
// CHECK-NOT: arith.maxnumf
// CHECK: arith.select %{{.*}}, %arg0, %arg1 : vector<4xi1>, vector<4xf16>
func.func @larger(%a: vector<4xf16>, %b: vector<4xf16>) -> vector<4xf16> {
  %0 = arith.maxnumf %a, %b : vector<4xf16>
  return %0 : vector<4xf16>
}

// Through float64, which holds 32 bits: rounded once.
// CHECK-LABEL: func.func @convert
// CHECK: arith.sitofp %arg0 : i32 to f64
func.func @convert(%x: i32) -> bf16 {
  %0 = arith.sitofp %x : i32 to bf16
  return %0 : bf16
}

// CHECK-LABEL: func.func @toward_zero
// CHECK: %[[NEAR:.*]] = arith.truncf %arg0 : f32 to f16
// CHECK: arith.bitcast %[[NEAR]] : f16 to i16
// CHECK: arith.subi
func.func @toward_zero(%x: f32) -> f16 {
  %0 = arith.truncf %x toward_zero : f32 to f16
  return %0 : f16
}

// CHECK-LABEL: func.func @cube
// CHECK-COUNT-2: arith.muli
// CHECK-NOT: scf.for
// CHECK: return
func.func @cube(%x: i32) -> i32 {
  %three = arith.constant 3 : i32
  %0 = math.ipowi %x, %three : i32
  return %0 : i32
}

// CHECK-LABEL: func.func @power
// CHECK: scf.for
func.func @power(%x: i32, %n: i32) -> i32 {
  %0 = math.ipowi %x, %n : i32
  return %0 : i32
}


// What is stored as fp8 goes through float32 by its bits: f8E5M2 is the upper half of an f16, f8E4M3FN times 2^8 with
// exponents of one bit less.
func.func @eights(%x: f8E4M3FN, %y: f8E5M2) -> (f32, f64, f8E5M2) {
  %a = arith.extf %x : f8E4M3FN to f32
  %b = arith.extf %y : f8E5M2 to f64
  %c = arith.truncf %a : f32 to f8E5M2
  return %a, %b, %c : f32, f64, f8E5M2
}
// CHECK-LABEL: func.func @eights
// CHECK: arith.bitcast %{{.*}} : f8E4M3FN to i8
// CHECK: %[[SMALL:.*]] = arith.extf %{{.*}} : f16 to f32
// CHECK: arith.mulf %[[SMALL]], %{{.*}} : f32
// CHECK: arith.bitcast %{{.*}} : f8E5M2 to i8
// CHECK: arith.extf %{{.*}} : f16 to f32
// CHECK: arith.extf %{{.*}} : f32 to f64
// CHECK: arith.addf %{{.*}} : f32
// CHECK: arith.bitcast %{{.*}} : i8 to f8E5M2

// Once, where float32 would round a first time: float64 holds the sum of f16, or its last bit says of bf16 that it does not.
// CHECK-LABEL: func.func @fused(
// CHECK:         %[[P:.*]] = arith.mulf %{{.*}} : f64
// CHECK:         arith.addf %[[P]], %{{.*}} : f64
// CHECK-NOT:     arith.subf
// CHECK-LABEL: func.func @fused_of_bf16(
// CHECK:         %[[P:.*]] = arith.mulf %{{.*}} : f64
// CHECK:         %[[S:.*]] = arith.addf %[[P]], %{{.*}} : f64
// CHECK-COUNT-4: arith.subf %{{.*}} : f64
// CHECK:         %[[BITS:.*]] = arith.bitcast %[[S]] : f64 to i64
// CHECK:         %[[ODD:.*]] = arith.select %{{.*}}, %{{.*}}, %{{.*}} : i64
// CHECK:         arith.select %{{.*}}, %[[ODD]], %[[BITS]] : i64
func.func @fused(%x: f16, %y: f16, %z: f16) -> f16 {
  %0 = math.fma %x, %y, %z : f16
  return %0 : f16
}
func.func @fused_of_bf16(%x: bf16, %y: bf16, %z: bf16) -> bf16 {
  %0 = math.fma %x, %y, %z : bf16
  return %0 : bf16
}
