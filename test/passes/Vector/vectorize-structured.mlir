// RUN: stepdown-opt %s -pass-pipeline='builtin.module(func.func(vectorize-structured))' | FileCheck %s
// RUN: stepdown-opt %s -pass-pipeline='builtin.module(func.func(vectorize-structured{target=x86-64-v3}))' | FileCheck %s --check-prefix=V3

// 8 rows of 3 vectors stay in registers, and read a copy of their 48 columns; then what is left of rows and columns.
// CHECK-LABEL: func.func @matmul(
// CHECK:         %[[PANEL:.*]] = memref.alloc() {alignment = 64 : i64} : memref<32x48xf32>
// CHECK:         scf.for %{{.*}} step %c48
// CHECK-COUNT-3:     vector.store %{{.*}}, %[[PANEL]]
// CHECK:           scf.for %{{.*}} step %c8
// CHECK-COUNT-24:    vector.load {{.*}} memref<64x96xf32>, vector<16xf32>
// CHECK:             scf.for {{.*}} -> (vector<16xf32>
// CHECK-COUNT-24:      math.fma
// CHECK-NOT:           arith.mulf
// CHECK:             vector.store
// V3-LABEL: func.func @matmul(
// V3:         scf.for %{{.*}} step %c6
// V3:           scf.for {{.*}} -> (vector<16xf32>
// V3-COUNT-6:     math.fma
func.func @matmul(%a: memref<64x32xf32>, %b: memref<32x96xf32>, %c: memref<64x96xf32>) {
  linalg.matmul ins(%a, %b : memref<64x32xf32>, memref<32x96xf32>) outs(%c : memref<64x96xf32>)
  return
}

// Whether there are rows enough to copy for is known when it runs.
// CHECK-LABEL: func.func @matmul_of_any_size(
// CHECK:         %[[PANEL:.*]] = memref.alloc(%{{.*}}) {{.*}} : memref<?x48xf32>
// CHECK:         arith.cmpi uge, %{{.*}}, %c32
// CHECK:         scf.if
// CHECK:           vector.store %{{.*}}, %[[PANEL]]
// CHECK:         } else {
// CHECK-NOT:       %[[PANEL]]
// CHECK:         return
func.func @matmul_of_any_size(%a: memref<?x?xf32>, %b: memref<?x?xf32>, %c: memref<?x?xf32>) {
  linalg.matmul ins(%a, %b : memref<?x?xf32>, memref<?x?xf32>) outs(%c : memref<?x?xf32>)
  return
}

// Whole vectors, then single elements.
// CHECK-LABEL: func.func @elementwise(
// CHECK:         scf.for
// CHECK:           vector.load
// CHECK:           math.exp %{{.*}} : vector<16xf32>
// CHECK:           vector.store
// CHECK:         scf.for
// CHECK:           memref.load
// CHECK:           math.exp %{{.*}} : f32
// CHECK:           memref.store
func.func @elementwise(%x: memref<?xf32>, %y: memref<?xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]} ins(%x : memref<?xf32>) outs(%y : memref<?xf32>) {
  ^bb0(%a: f32, %b: f32):
    %e = math.exp %a : f32
    linalg.yield %e : f32
  }
  return
}

// Partial sums in four vectors, joined in a tree.
// CHECK-LABEL: func.func @row_sums(
// CHECK:         scf.for %{{.*}} step %c64
// CHECK-COUNT-4:   arith.addf %{{.*}} : vector<16xf32>
// CHECK:         vector.shuffle {{.*}} : vector<16xf32>, vector<16xf32>
// CHECK:         arith.addf %{{.*}} : vector<8xf32>
// CHECK:         arith.addf %{{.*}} : vector<1xf32>
func.func @row_sums(%x: memref<4x256xf32>, %y: memref<4xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<4x256xf32>) outs(%y : memref<4xf32>) {
  ^bb0(%a: f32, %s: f32):
    %t = arith.addf %s, %a : f32
    linalg.yield %t : f32
  }
  return
}

// Doubles take 8 lanes; sums down the columns keep their order, a lane a column.
// CHECK-LABEL: func.func @column_sums(
// CHECK:         scf.for
// CHECK:           %[[START:.*]] = vector.load %{{.*}} : memref<64xf64>, vector<8xf64>
// CHECK:           scf.for {{.*}} iter_args(%{{.*}} = %[[START]]
func.func @column_sums(%x: memref<4x64xf64>, %y: memref<64xf64>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>], iterator_types = ["reduction", "parallel"]}
      ins(%x : memref<4x64xf64>) outs(%y : memref<64xf64>) {
  ^bb0(%a: f64, %s: f64):
    %m = math.absf %a : f64
    %t = arith.addf %s, %m : f64
    linalg.yield %t : f64
  }
  return
}

// No loop goes along both arrays.
// CHECK-LABEL: func.func @transpose(
// CHECK:         linalg.generic
func.func @transpose(%x: memref<4x8xf32>, %y: memref<8x4xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (j, i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<4x8xf32>) outs(%y : memref<8x4xf32>) {
  ^bb0(%a: f32, %b: f32):
    linalg.yield %a : f32
  }
  return
}

// A check in the body is no arithmetic.
// CHECK-LABEL: func.func @checked(
// CHECK:         linalg.generic
func.func @checked(%x: memref<8xi32>, %ok: i1) {
  linalg.generic {indexing_maps = [affine_map<(i) -> (i)>], iterator_types = ["parallel"]} outs(%x : memref<8xi32>) {
  ^bb0(%a: i32):
    cf.assert %ok, "checked"
    linalg.yield %a : i32
  }
  return
}
