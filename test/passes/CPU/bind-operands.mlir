// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -bind-operands | FileCheck %s

// An address and two dimensions for each argument; a contiguous range of tiles for each thread.
// CHECK-LABEL: func.func @range_of_tiles
// CHECK-SAME: (%[[OPERANDS:.*]]: !llvm.ptr, %[[THREAD:.*]]: i64, %[[THREADS:.*]]: i64)
// CHECK: llvm.getelementptr %[[OPERANDS]][0]
// CHECK: llvm.getelementptr %[[OPERANDS]][1]
// CHECK: llvm.getelementptr %[[OPERANDS]][3]
// CHECK: %[[BEGIN:.*]] = arith.divui
// CHECK: %[[END:.*]] = arith.divui
// CHECK: scf.for %{{.*}} = %[[BEGIN]] to %[[END]] step %{{.*}}
// CHECK-NOT: scf.forall
func.func @range_of_tiles(%x: memref<?x2xf32>, %y: memref<?x2xf32>) {
  %c0 = arith.constant 0 : index
  %n = memref.dim %x, %c0 : memref<?x2xf32>
  scf.forall (%i) in (%n) {
    %0 = memref.load %x[%i, %c0] : memref<?x2xf32>
    memref.store %0, %y[%i, %c0] : memref<?x2xf32>
  }
  return
}

// -----

// Where tiles cost unequally, every threads-th one; two loops become one.
// CHECK-LABEL: func.func @every_other_tile
// CHECK: %[[T:.*]] = arith.index_cast %{{.*}} : i64 to index
// CHECK: %[[N:.*]] = arith.index_cast %{{.*}} : i64 to index
// CHECK: scf.for %[[I:.*]] = %[[T]] to %{{.*}} step %[[N]]
// CHECK: arith.remui %[[I]]
// CHECK: arith.divui %[[I]]
func.func @every_other_tile(%x: memref<?x2xf32>) attributes {tile.cyclic} {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %n = memref.dim %x, %c0 : memref<?x2xf32>
  scf.forall (%i, %j) in (%n, 2) {
    memref.store %zero, %x[%i, %j] : memref<?x2xf32>
  }
  return
}

// -----

// expected-error @+1 {{expects arguments that are contiguous memrefs, but got 'memref<2xf32, strided<[2]>>'}}
func.func @strided(%x: memref<2xf32, strided<[2]>>) {
  return
}

// -----

// expected-error @+1 {{expects arguments that are contiguous memrefs, but got 'index'}}
func.func @number(%x: index) {
  return
}
