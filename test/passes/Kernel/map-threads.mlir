// RUN: stepdown-opt %s -split-input-file -map-threads -canonicalize | FileCheck %s

func.func @sums_of_rows(%x: memref<?x7xf32>, %y: memref<?xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]} ins(%x : memref<?x7xf32>) outs(%y : memref<?xf32>) {
  ^bb0(%in: f32, %sum: f32):
    %0 = arith.addf %sum, %in : f32
    linalg.yield %0 : f32
  }
  return
}
// CHECK-LABEL: func.func @sums_of_rows(
// CHECK-SAME: %[[X:.*]]: memref<?x7xf32>, %[[Y:.*]]: memref<?xf32>)
// CHECK: %[[N:.*]] = memref.dim %[[X]]
// CHECK: %[[MORE:.*]] = arith.addi %[[N]], %c255
// CHECK: %[[BLOCKS:.*]] = arith.divui %[[MORE]], %c256
// CHECK: gpu.launch blocks({{.*}}) in ({{.*}} = %[[BLOCKS]], {{.*}}) threads({{.*}}) in ({{.*}} = %c256,
// CHECK: %[[INSIDE:.*]] = arith.cmpi ult, %[[I:.*]], %[[N]]
// CHECK: scf.if %[[INSIDE]]
// CHECK: %[[FIRST:.*]] = memref.load %[[Y]][%[[I]]]
// CHECK: %[[ALL:.*]] = scf.for %[[J:.*]] = %c0 to %c7 step %c1 iter_args(%[[SUM:.*]] = %[[FIRST]])
// CHECK-NEXT: %[[NEXT:.*]] = memref.load %[[X]][%[[I]], %[[J]]]
// CHECK-NEXT: %[[MORE:.*]] = arith.addf %[[SUM]], %[[NEXT]]
// CHECK-NEXT: scf.yield %[[MORE]]
// CHECK: memref.store %[[ALL]], %[[Y]][%[[I]]]

// -----

// Two sums over two loops: each in a register through both.
func.func @sum_and_most(%x: memref<5x7x11xf32>, %s: memref<5xf32>, %m: memref<5xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, j, k)>, affine_map<(i, j, k) -> (i)>, affine_map<(i, j, k) -> (i)>],
                  iterator_types = ["parallel", "reduction", "reduction"]} ins(%x : memref<5x7x11xf32>) outs(%s, %m : memref<5xf32>, memref<5xf32>) {
  ^bb0(%in: f32, %sum: f32, %most: f32):
    %0 = arith.addf %sum, %in : f32
    %1 = arith.maximumf %most, %in : f32
    linalg.yield %0, %1 : f32, f32
  }
  return
}
// CHECK-LABEL: func.func @sum_and_most
// CHECK-COUNT-2: memref.load
// CHECK: %[[OUTER:.*]]:2 = scf.for {{.*}} iter_args(%[[A:.*]] = %{{.*}}, %[[B:.*]] = %{{.*}}) -> (f32, f32)
// CHECK-NEXT: %[[INNER:.*]]:2 = scf.for {{.*}} iter_args(%{{.*}} = %[[A]], %{{.*}} = %[[B]]) -> (f32, f32)
// CHECK-NEXT: memref.load
// CHECK-NEXT: arith.addf
// CHECK-NEXT: arith.maximumf
// CHECK-NEXT: scf.yield
// CHECK: scf.yield %[[INNER]]#0, %[[INNER]]#1
// CHECK-COUNT-2: memref.store %[[OUTER]]

// -----

// The reduction comes first here: threads go over what is parallel all the same. Few elements take few threads.
func.func @sums_of_columns(%x: memref<13x5xf32>, %y: memref<5xf32>) {
  linalg.generic {indexing_maps = [affine_map<(j, i) -> (j, i)>, affine_map<(j, i) -> (i)>], iterator_types = ["reduction", "parallel"]} ins(%x : memref<13x5xf32>) outs(%y : memref<5xf32>) {
  ^bb0(%in: f32, %sum: f32):
    %0 = arith.addf %sum, %in : f32
    linalg.yield %0 : f32
  }
  return
}
// CHECK-LABEL: func.func @sums_of_columns
// CHECK: gpu.launch blocks({{.*}}) threads({{.*}}) in ({{.*}} = %c32,
// CHECK: arith.cmpi ult, %{{.*}}, %c5
// CHECK: scf.for %{{.*}} = %c0 to %c13

// -----

// One number of many: one thread. And of two parallel dimensions the inner one has the neighbouring threads.
func.func @dot_and_add(%x: memref<17xf32>, %s: memref<f32>, %a: memref<3x?xf32>) {
  linalg.dot ins(%x, %x : memref<17xf32>, memref<17xf32>) outs(%s : memref<f32>)
  linalg.add ins(%a, %a : memref<3x?xf32>, memref<3x?xf32>) outs(%a : memref<3x?xf32>)
  return
}
// CHECK-LABEL: func.func @dot_and_add
// CHECK: gpu.launch
// CHECK: scf.for %{{.*}} = %c0 to %c17
// CHECK: %[[W:.*]] = memref.dim %{{.*}}, %c1
// CHECK: gpu.launch
// CHECK: scf.if
// CHECK: %[[J:.*]] = arith.remui %[[T:.*]], %[[W]]
// CHECK: %[[I:.*]] = arith.divui %[[T]], %[[W]]
// CHECK: memref.load %{{.*}}[%[[I]], %[[J]]]

// -----

// Constants go to the device; a check leaves its number there, and what comes behind it does not happen.
memref.global "private" constant @table : memref<7xf32> = dense<1.5>
func.func @looks_up(%i: memref<?xindex>, %y: memref<?xf32>) {
  %t = memref.get_global @table : memref<7xf32>
  %c7 = arith.constant 7 : index
  linalg.generic {indexing_maps = [affine_map<(d) -> (d)>, affine_map<(d) -> (d)>], iterator_types = ["parallel"]} ins(%i : memref<?xindex>) outs(%y : memref<?xf32>) {
  ^bb0(%at: index, %out: f32):
    %good = arith.cmpi ult, %at, %c7 : index
    cf.assert %good, "expects an index below 7"
    %0 = memref.load %t[%at] : memref<7xf32>
    linalg.yield %0 : f32
  }
  return
}
// CHECK-LABEL: func.func @looks_up
// CHECK: %[[CHECK:.*]] = memref.alloc() : memref<i64>
// CHECK: memref.store %c0_i64, %[[CHECK]][]
// CHECK: %[[CONSTANT:.*]] = memref.get_global @table
// CHECK: %[[COPY:.*]] = memref.alloc() : memref<7xf32>
// CHECK: memref.copy %[[CONSTANT]], %[[COPY]]
// CHECK: gpu.launch
// CHECK: %[[INSIDE:.*]] = arith.cmpi ult, %{{.*}}, %c7
// CHECK: scf.if %[[INSIDE]] {
// CHECK: memref.load %[[COPY]]
// CHECK: memref.store
// CHECK: else
// CHECK: memref.atomic_rmw maxs %c1_i64, %[[CHECK]][]
// CHECK: gpu.terminator
// CHECK: %[[CODE:.*]] = memref.load %[[CHECK]][]
// CHECK: %[[GOOD:.*]] = arith.cmpi ne, %[[CODE]], %c1_i64
// CHECK: cf.assert %[[GOOD]], "expects an index below 7"

// -----

// A tile kernel gets a matrix without gaps, and its result goes back into the piece that it is for.
tile.kernel @product(%a: memref<?x?xbf16>, %b: memref<?x?xbf16>, %c: memref<?x?xf32>) {
}
func.func @pieces(%a: memref<61x64xbf16, strided<[128, 1], offset: ?>>, %b: memref<64x72xbf16>, %c: memref<61x72xf32, strided<[80, 1]>>) {
  tile.launch @product ins(%a, %b : memref<61x64xbf16, strided<[128, 1], offset: ?>>, memref<64x72xbf16>) outs(%c : memref<61x72xf32, strided<[80, 1]>>)
  return
}
// CHECK-LABEL: func.func @pieces
// CHECK: %[[A:.*]] = memref.alloc() : memref<61x64xbf16>
// CHECK: gpu.launch
// CHECK: %[[C:.*]] = memref.alloc() : memref<61x72xf32>
// CHECK: tile.launch @product ins(%[[A]], %{{.*}} : memref<61x64xbf16>, memref<64x72xbf16>) outs(%[[C]] : memref<61x72xf32>)
// CHECK: gpu.launch

// -----

// One matrix of many has no gaps, wherever it begins; part of one has.
tile.kernel @product(%a: memref<?x?xbf16>, %b: memref<?x?xbf16>, %c: memref<?x?xf32>) {
}
func.func @one_of_many(%a: memref<?x67x?xbf16>, %b: memref<5x72x64xbf16>, %c: memref<67x64xf32>, %i: index) {
  %c2 = arith.constant 2 : index
  %k = memref.dim %a, %c2 : memref<?x67x?xbf16>
  %x = memref.subview %a[%i, 0, 0] [1, 67, %k] [1, 1, 1] : memref<?x67x?xbf16> to memref<67x?xbf16, strided<[?, 1], offset: ?>>
  %y = memref.subview %b[%i, 0, 0] [1, 72, 56] [1, 1, 1] : memref<5x72x64xbf16> to memref<72x56xbf16, strided<[64, 1], offset: ?>>
  tile.launch @product ins(%x, %y : memref<67x?xbf16, strided<[?, 1], offset: ?>>, memref<72x56xbf16, strided<[64, 1], offset: ?>>) outs(%c : memref<67x64xf32>)
  return
}
// CHECK-LABEL: func.func @one_of_many
// CHECK: %[[X:.*]] = memref.subview
// CHECK: %[[Y:.*]] = memref.alloc() : memref<72x56xbf16>
// CHECK: tile.launch @product ins(%[[X]], %[[Y]] :
