// RUN: stepdown-opt %s -place-arrays | FileCheck %s

// CHECK-LABEL: func.func @a_copy_onto_itself_is_none(
// CHECK-NEXT:    memref.subview
// CHECK-NEXT:    return
func.func @a_copy_onto_itself_is_none(%a: memref<3x7xf32>, %i: index) {
  %part = memref.subview %a[%i, 0] [1, 7] [1, 1] : memref<3x7xf32> to memref<7xf32, strided<[1], offset: ?>>
  memref.copy %part, %part : memref<7xf32, strided<[1], offset: ?>> to memref<7xf32, strided<[1], offset: ?>>
  return
}

// CHECK-LABEL: func.func @a_copy_is_written_out(
// CHECK-NOT:     memref.copy
// CHECK:         linalg.generic {{.*}} ins(%{{.*}} : memref<?xf32>) outs(%{{.*}} : memref<?xf32>)
func.func @a_copy_is_written_out(%a: memref<?xf32>, %b: memref<?xf32>) {
  memref.copy %a, %b : memref<?xf32> to memref<?xf32>
  return
}

// CHECK-LABEL: func.func @small_arrays_of_loops_lie_on_the_stack(
// CHECK-NEXT:    memref.alloca() {alignment = 64 : i64} : memref<16xf32>
// CHECK:         scf.for
// CHECK-NOT:       memref.alloc()
// CHECK:           memref.alloc() : memref<65536xf32>
func.func @small_arrays_of_loops_lie_on_the_stack(%n: index, %x: f32) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %i = %c0 to %n step %c1 {
    %a = memref.alloc() : memref<16xf32>
    memref.store %x, %a[%c0] : memref<16xf32>
    %b = memref.alloc() : memref<65536xf32>
    memref.store %x, %b[%c0] : memref<65536xf32>
  }
  return
}

// CHECK-LABEL: func.func @what_leaves_an_iteration_stays(
// CHECK:         scf.for
// CHECK:           memref.alloc() : memref<16xf32>
func.func @what_leaves_an_iteration_stays(%n: index, %x: memref<16xf32>) -> memref<16xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %y = scf.for %i = %c0 to %n step %c1 iter_args(%last = %x) -> memref<16xf32> {
    %a = memref.alloc() : memref<16xf32>
    scf.yield %a : memref<16xf32>
  }
  return %y : memref<16xf32>
}

// What a function gives back lies without gaps; upstream casts a part whose sizes the type does not say.
// CHECK-LABEL: func.func @a_part_of_unknown_sizes_is_copied(
// CHECK:         %[[N:.*]] = memref.dim %{{.*}}, %{{.*}} : memref<6x2xf32, strided<[7, 1]>>
// CHECK:         %[[WHOLE:.*]] = memref.alloc(%[[N]]) {alignment = 64 : i64} : memref<6x?xf32>
// CHECK:         linalg.generic {{.*}} ins(%{{.*}} : memref<6x2xf32, strided<[7, 1]>>) outs(%[[WHOLE]] : memref<6x?xf32>)
// CHECK:         return %[[WHOLE]]
func.func @a_part_of_unknown_sizes_is_copied(%x: memref<11x7xf32>) -> memref<6x?xf32> {
  %0 = memref.subview %x[0, 0] [6, 2] [1, 1] : memref<11x7xf32> to memref<6x2xf32, strided<[7, 1]>>
  %1 = memref.cast %0 : memref<6x2xf32, strided<[7, 1]>> to memref<6x?xf32>
  return %1 : memref<6x?xf32>
}

// CHECK-LABEL: func.func @whole_rows_are_cast(
// CHECK-NOT:     memref.alloc
// CHECK:         memref.cast
func.func @whole_rows_are_cast(%x: memref<11x7xf32>) -> memref<?x7xf32> {
  %0 = memref.subview %x[0, 0] [6, 7] [1, 1] : memref<11x7xf32> to memref<6x7xf32, strided<[7, 1]>>
  %1 = memref.cast %0 : memref<6x7xf32, strided<[7, 1]>> to memref<?x7xf32>
  return %1 : memref<?x7xf32>
}
