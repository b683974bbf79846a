// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -launch-kernels | FileCheck %s

// CHECK-LABEL: gpu.module @twice
// CHECK: gpu.func @twice(%{{.*}}: !llvm.ptr, %{{.*}}: i64, %{{.*}}: i64, %{{.*}}: !llvm.ptr, %{{.*}}: i64, %{{.*}}: i64) kernel attributes {known_block_size = array<i32: 64, 1, 1>}
// CHECK: gpu.block_id x
// CHECK: gpu.block_id y
// CHECK: gpu.thread_id x
// CHECK: scf.if
// CHECK: memref.load
// CHECK: memref.store
// CHECK: gpu.return
func.func @twice(%y: memref<?x48xf32>, %x: memref<?x48xf32>) attributes {tile.grid = array<i64: 43, 64>} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c43 = arith.constant 43 : index
  %n = memref.dim %y, %c0 : memref<?x48xf32>
  scf.parallel (%t, %c) = (%c0, %c0) to (%n, %c43) step (%c1, %c1) {
    %0 = memref.load %x[%t, %c] : memref<?x48xf32>
    %1 = arith.addf %0, %0 : f32
    memref.store %1, %y[%t, %c] : memref<?x48xf32>
  }
  return
}

// The address of a number, in bytes.
// CHECK-LABEL: gpu.module @address_of_a_number
// CHECK: %[[FOUR:.*]] = llvm.mlir.constant(4 : i64)
// CHECK: %[[BYTES:.*]] = llvm.mul %{{.*}}, %[[FOUR]]
// CHECK: llvm.getelementptr %{{.*}}[%[[BYTES]]] : (!llvm.ptr, i64) -> !llvm.ptr, i8
func.func @address_of_a_number(%y: memref<?x16xf32>, %x: memref<?x48xf32>) attributes {tile.grid = array<i64: 1, 32>} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c5 = arith.constant 5 : index
  %n = memref.dim %y, %c0 : memref<?x16xf32>
  scf.parallel (%t) = (%c0) to (%n) step (%c1) {
    %p = tile.block_ptr %x[%t, %c5] : memref<?x48xf32> -> !llvm.ptr
    %0 = llvm.load %p : !llvm.ptr -> f32
    memref.store %0, %y[%t, %c0] : memref<?x16xf32>
  }
  return
}

// CHECK-LABEL: gpu.module @first_byte
// CHECK: llvm.getelementptr
// CHECK-NOT: tile.block_ptr
func.func private @first_byte(%y: memref<?x16xi8>, %w: memref<2x3x!transformer.block<q8_0, rows = 16>>) attributes {tile.grid = array<i64: 1, 32>} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = memref.dim %y, %c0 : memref<?x16xi8>
  scf.parallel (%t) = (%c0) to (%n) step (%c1) {
    %p = tile.block_ptr %w[%c1, %c1] : memref<2x3x!transformer.block<q8_0, rows = 16>> -> !llvm.ptr
    %0 = llvm.load %p : !llvm.ptr -> i8
    memref.store %0, %y[%t, %c0] : memref<?x16xi8>
  }
  return
}

// Memory that threads of a block share, and all of them have a turn where they may meet at a barrier.
// CHECK-LABEL: gpu.module @neighbour
// CHECK: gpu.func @neighbour({{.*}} workgroup(%[[SHARED:.*]] : memref<64xf32, #gpu.address_space<workgroup>>) kernel
// CHECK-NOT: scf.if
// CHECK: memref.store %{{.*}}, %[[SHARED]]
// CHECK: gpu.barrier
// CHECK: memref.load %[[SHARED]]
func.func private @neighbour(%y: memref<?x128xf32>, %x: memref<?x128xf32>) attributes {tile.grid = array<i64: 128, 64>} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %n = memref.dim %y, %c0 : memref<?x128xf32>
  %shared = memref.alloca() : memref<64xf32, #gpu.address_space<workgroup>>
  scf.parallel (%t, %c) = (%c0, %c0) to (%n, %c128) step (%c1, %c1) {
    %0 = memref.load %x[%t, %c] : memref<?x128xf32>
    %lane = arith.remui %c, %c64 : index
    memref.store %0, %shared[%lane] : memref<64xf32, #gpu.address_space<workgroup>>
    gpu.barrier
    %next = arith.addi %lane, %c1 : index
    %other = arith.remui %next, %c64 : index
    %1 = memref.load %shared[%other] : memref<64xf32, #gpu.address_space<workgroup>>
    memref.store %1, %y[%t, %c] : memref<?x128xf32>
  }
  return
}

// -----

// expected-error @+1 {{expects one loop over tokens and columns in a kernel that is launched}}
func.func private @no_loop(%y: memref<?x16xf32>) attributes {tile.grid = array<i64: 7, 32>} {
  return
}

// -----

func.func private @blocks_as_they_are(%y: memref<?x16xf32>, %w: memref<2x3x!transformer.block<q8_0, rows = 16>>) attributes {tile.grid = array<i64: 1, 32>} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = memref.dim %y, %c0 : memref<?x16xf32>
  scf.parallel (%t) = (%c0) to (%n) step (%c1) {
    // expected-error @+1 {{expects blocks to be unpacked before kernels are launched}}
    %0, %1, %2, %3 = tile.unpack_quad %w[%c1, %c1] row %t quad %c1 : memref<2x3x!transformer.block<q8_0, rows = 16>>
    memref.store %0, %y[%t, %c0] : memref<?x16xf32>
  }
  return
}
