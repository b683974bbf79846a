// RUN: stepdown-opt %s -carry-bfloat16 | FileCheck %s

// Constants too, and vectors; what is bits already is not cast.
// CHECK-LABEL: func.func @bits(
// CHECK-NOT: bf16
// CHECK: arith.constant 16256 : i16
// CHECK-NOT: bf16
func.func @bits(%p: i1, %x: i16) -> i16 {
  %one = arith.constant 1.0 : bf16
  %b = arith.bitcast %x : i16 to bf16
  %v = arith.select %p, %one, %b : bf16
  %all = vector.broadcast %v : bf16 to vector<4xbf16>
  %last = vector.extract %all[3] : bf16 from vector<4xbf16>
  %i = arith.bitcast %last : bf16 to i16
  return %i : i16
}

// CHECK: memref.global "private" constant @table : memref<3xi16> = dense<[16256, 16384, -32768]>
memref.global "private" constant @table : memref<3xbf16> = dense<[1.0, 2.0, -0.0]>

// CHECK-LABEL: func.func @arrays(
// CHECK-NOT: bf16
// CHECK:     memref.get_global @table : memref<3xi16>
// CHECK:     memref.load %{{.*}} : memref<3xi16>
// CHECK:     memref.store %{{.*}} : memref<5xi16>
func.func @arrays(%x: memref<5xi16>, %i: index) {
  %t = memref.get_global @table : memref<3xbf16>
  %a = memref.load %t[%i] : memref<3xbf16>
  %y = memref.alloca() : memref<5xbf16>
  memref.store %a, %y[%i] : memref<5xbf16>
  return
}
