// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -place-scratch | FileCheck %s

// CHECK-LABEL: @scratch_of_a_tile
// CHECK-NEXT: memref.alloca() {alignment = 64 : i64} : memref<4x2xvector<16xf32>>
// CHECK: scf.forall
// CHECK-NOT: memref.alloc()
// CHECK: return
func.func @scratch_of_a_tile(%x: memref<?x2xvector<16xf32>>) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant dense<0.0> : vector<16xf32>
  scf.forall (%i) in (3) {
    %0 = memref.alloc() : memref<4x2xvector<16xf32>>
    memref.store %zero, %0[%c0, %c0] : memref<4x2xvector<16xf32>>
  }
  return
}

// -----

// Bufferization leaves copies of a slice onto itself.
// CHECK-LABEL: @copy_onto_itself
// CHECK-NOT: memref.copy
// CHECK: return
// CHECK-NOT: return %
func.func @copy_onto_itself(%x: memref<?x2xvector<16xf32>>, %i: index) -> memref<?x2xvector<16xf32>> {
  %0 = memref.subview %x[%i, 0] [4, 2] [1, 1] : memref<?x2xvector<16xf32>> to memref<4x2xvector<16xf32>, strided<[2, 1], offset: ?>>
  %1 = memref.subview %x[%i, 0] [4, 2] [1, 1] : memref<?x2xvector<16xf32>> to memref<4x2xvector<16xf32>, strided<[2, 1], offset: ?>>
  memref.copy %0, %1 : memref<4x2xvector<16xf32>, strided<[2, 1], offset: ?>> to memref<4x2xvector<16xf32>, strided<[2, 1], offset: ?>>
  return %x : memref<?x2xvector<16xf32>>
}

// -----

func.func @copy_of_something_else(%x: memref<2xf32>, %y: memref<2xf32>) {
  // expected-error @+1 {{expects a kernel to work in place, but bufferization had to copy}}
  memref.copy %x, %y : memref<2xf32> to memref<2xf32>
  return
}

// -----

func.func @scratch_that_grows(%n: index) {
  // expected-error @+1 {{expects scratch of static size, but got 'memref<?xf32>'}}
  %0 = memref.alloc(%n) : memref<?xf32>
  return
}

// -----

func.func @result_in_scratch() -> memref<2xf32> {
  %0 = memref.alloc() : memref<2xf32>
  // expected-error @+1 {{expects results in the kernel's arguments}}
  return %0 : memref<2xf32>
}

// -----

// expected-error @+1 {{expects a kernel of one block}}
func.func @two_blocks() {
  cf.br ^bb1
^bb1:
  return
}
