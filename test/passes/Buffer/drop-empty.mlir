// RUN: stepdown-opt %s -drop-empty | FileCheck %s

// CHECK-LABEL: func.func @a_padded_empty_array_is_filled(
// CHECK-NOT:     tensor.pad
// CHECK:         tensor.generate
func.func @a_padded_empty_array_is_filled(%x: tensor<0xf32>, %v: f32) -> tensor<3xf32> {
  %0 = tensor.pad %x low[3] high[0] {
  ^bb0(%i: index):
    tensor.yield %v : f32
  } : tensor<0xf32> to tensor<3xf32>
  return %0 : tensor<3xf32>
}

// CHECK-LABEL: func.func @a_padded_array_of_some_elements_stays(
// CHECK:         tensor.pad
func.func @a_padded_array_of_some_elements_stays(%x: tensor<?xf32>, %v: f32) -> tensor<?xf32> {
  %0 = tensor.pad %x low[3] high[0] {
  ^bb0(%i: index):
    tensor.yield %v : f32
  } : tensor<?xf32> to tensor<?xf32>
  return %0 : tensor<?xf32>
}

// CHECK-LABEL: func.func @nothing_put_into_an_array_leaves_it(
// CHECK-SAME:      %[[X:.*]]: tensor<0xf32>, %[[Y:.*]]: tensor<?xf32>
// CHECK:         return %[[Y]]
func.func @nothing_put_into_an_array_leaves_it(%x: tensor<0xf32>, %y: tensor<?xf32>, %i: index) -> tensor<?xf32> {
  %0 = tensor.insert_slice %x into %y[%i] [0] [1] : tensor<0xf32> into tensor<?xf32>
  return %0 : tensor<?xf32>
}

// CHECK-LABEL: func.func @a_collapsed_empty_array_is_new(
// CHECK-NOT:     tensor.collapse_shape
// CHECK:         %[[E:.*]] = tensor.empty
// CHECK:         return
func.func @a_collapsed_empty_array_is_new(%x: tensor<?x0xf32>) -> tensor<?xf32> {
  %0 = tensor.collapse_shape %x [[0, 1]] : tensor<?x0xf32> into tensor<?xf32>
  return %0 : tensor<?xf32>
}

// CHECK-LABEL: func.func @a_reshaped_empty_array_has_the_sizes_asked_for(
// CHECK-SAME:      %{{.*}}: tensor<0xf32>, %[[S:.*]]: tensor<2xindex>
// CHECK:         %[[N:.*]] = tensor.extract %[[S]]
// CHECK:         tensor.empty(%[[N]]) : tensor<?x5xf32>
func.func @a_reshaped_empty_array_has_the_sizes_asked_for(%x: tensor<0xf32>, %s: tensor<2xindex>) -> tensor<?x5xf32> {
  %0 = tensor.reshape %x(%s) : (tensor<0xf32>, tensor<2xindex>) -> tensor<?x5xf32>
  return %0 : tensor<?x5xf32>
}

// CHECK-LABEL: func.func @a_reduction_over_nothing_is_its_start(
// CHECK-SAME:      %{{.*}}: tensor<?xf32>, %[[START:.*]]: tensor<f32>
// CHECK:         %[[NONE:.*]] = arith.cmpi eq
// CHECK:         scf.if %[[NONE]]
// CHECK-NEXT:      scf.yield %[[START]]
// CHECK:         } else {
// CHECK:           linalg.reduce
func.func @a_reduction_over_nothing_is_its_start(%x: tensor<?xf32>, %start: tensor<f32>) -> tensor<f32> {
  %0 = linalg.reduce ins(%x : tensor<?xf32>) outs(%start : tensor<f32>) dimensions = [0] (%in: f32, %out: f32) {
    linalg.yield %in : f32
  }
  return %0 : tensor<f32>
}

// The cast is folded into the slice of a buffer, which is then of no elements where it begins.
// CHECK-LABEL: func.func @a_slice_of_what_was_empty_before_a_cast(
// CHECK-SAME:      %{{.*}}: tensor<17x0xf32>, %[[N:.*]]: index
// CHECK-NOT:     tensor.extract_slice
// CHECK:         tensor.empty(%[[N]]) : tensor<5x?xf32>
func.func @a_slice_of_what_was_empty_before_a_cast(%x: tensor<17x0xf32>, %n: index) -> tensor<5x?xf32> {
  %0 = tensor.cast %x : tensor<17x0xf32> to tensor<?x?xf32>
  %1 = tensor.extract_slice %0[3, 0] [5, %n] [2, 1] : tensor<?x?xf32> to tensor<5x?xf32>
  return %1 : tensor<5x?xf32>
}

// CHECK-LABEL: func.func @nothing_is_put_into_what_a_loop_carries_empty(
// CHECK-NOT:     tensor.insert_slice
// CHECK-NOT:     tensor.extract_slice
// CHECK:         return
func.func @nothing_is_put_into_what_a_loop_carries_empty(%x: tensor<7x0xf32>, %n: index, %from: index, %to: index,
                                                         %by: index) -> tensor<7x?xf32> {
  %0 = tensor.cast %x : tensor<7x0xf32> to tensor<7x?xf32>
  %1 = scf.for %i = %from to %to step %by iter_args(%a = %0) -> (tensor<7x?xf32>) {
    %2 = scf.for %j = %from to %to step %by iter_args(%c = %a) -> (tensor<7x?xf32>) {
      %3 = tensor.extract_slice %c[0, 0] [3, %n] [1, 1] : tensor<7x?xf32> to tensor<3x?xf32>
      %4 = tensor.insert_slice %3 into %c[2, 0] [3, %n] [1, 1] : tensor<3x?xf32> into tensor<7x?xf32>
      scf.yield %4 : tensor<7x?xf32>
    }
    scf.yield %2 : tensor<7x?xf32>
  }
  return %1 : tensor<7x?xf32>
}

// CHECK-LABEL: func.func @nothing_is_taken_of_what_a_while_carries_empty(
// CHECK-NOT:     tensor.extract_slice
// CHECK:         return
func.func @nothing_is_taken_of_what_a_while_carries_empty(%x: tensor<7x0xf32>, %n: index, %to: index)
    -> (tensor<7x?xf32>, tensor<3x?xf32>) {
  %0 = tensor.cast %x : tensor<7x0xf32> to tensor<7x?xf32>
  %1:2 = scf.while (%a = %0, %i = %n) : (tensor<7x?xf32>, index) -> (tensor<7x?xf32>, index) {
    %more = arith.cmpi slt, %i, %to : index
    scf.condition(%more) %a, %i : tensor<7x?xf32>, index
  } do {
  ^bb0(%a: tensor<7x?xf32>, %i: index):
    %2 = tensor.extract_slice %a[1, 0] [5, %n] [1, 1] : tensor<7x?xf32> to tensor<5x?xf32>
    %3 = tensor.insert_slice %2 into %a[0, 0] [5, %n] [1, 1] : tensor<5x?xf32> into tensor<7x?xf32>
    %4 = arith.addi %i, %i : index
    scf.yield %3, %4 : tensor<7x?xf32>, index
  }
  %5 = tensor.extract_slice %1#0[1, 0] [3, %n] [2, 1] : tensor<7x?xf32> to tensor<3x?xf32>
  return %1#0, %5 : tensor<7x?xf32>, tensor<3x?xf32>
}

// CHECK-LABEL: func.func @turns_side_by_side_put_nothing(
// CHECK-NOT:     tensor.parallel_insert_slice
// CHECK:         return
func.func @turns_side_by_side_put_nothing(%x: tensor<7x0xf32>, %y: tensor<?x?xf32>, %n: index) -> tensor<7x?xf32> {
  %0 = tensor.cast %x : tensor<7x0xf32> to tensor<7x?xf32>
  %1 = scf.forall (%i) in (7) shared_outs(%a = %0) -> (tensor<7x?xf32>) {
    %2 = tensor.extract_slice %y[%i, 0] [1, %n] [1, 1] : tensor<?x?xf32> to tensor<1x?xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %2 into %a[%i, 0] [1, %n] [1, 1] : tensor<1x?xf32> into tensor<7x?xf32>
    }
  }
  return %1 : tensor<7x?xf32>
}

// Nor what was reshaped, or is a slice of a slice: turns carry it without its type.
// CHECK-LABEL: func.func @turns_put_nothing_into_what_was_collapsed(
// CHECK-NOT:     tensor.extract_slice
// CHECK-NOT:     tensor.parallel_insert_slice
// CHECK:         return
func.func @turns_put_nothing_into_what_was_collapsed(%x: tensor<?x?x0xf32>, %m: index, %n: index) -> tensor<?x?xf32> {
  %0 = tensor.collapse_shape %x [[0], [1, 2]] : tensor<?x?x0xf32> into tensor<?x?xf32>
  %1 = scf.forall (%i) in (%m) shared_outs(%a = %0) -> (tensor<?x?xf32>) {
    %2 = tensor.extract_slice %a[%i, 0] [1, %n] [1, 1] : tensor<?x?xf32> to tensor<1x?xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %2 into %a[%i, 0] [1, %n] [1, 1] : tensor<1x?xf32> into tensor<?x?xf32>
    }
  }
  return %1 : tensor<?x?xf32>
}

// CHECK-LABEL: func.func @a_slice_of_a_slice_of_nothing_is_put_behind_all(
// CHECK-SAME:      %{{.*}}: tensor<0xf32>, %[[Y:.*]]: tensor<?xf32>
// CHECK-NOT:     tensor.insert_slice
// CHECK:         return %[[Y]]
func.func @a_slice_of_a_slice_of_nothing_is_put_behind_all(%x: tensor<0xf32>, %y: tensor<?xf32>, %n: index, %end: index)
    -> tensor<?xf32> {
  %0 = tensor.extract_slice %x[%n] [%n] [1] : tensor<0xf32> to tensor<?xf32>
  %1 = tensor.extract_slice %0[%n] [%n] [1] : tensor<?xf32> to tensor<?xf32>
  %2 = tensor.insert_slice %1 into %y[%end] [%n] [1] : tensor<?xf32> into tensor<?xf32>
  return %2 : tensor<?xf32>
}

// What changes places with another is empty in every second turn alone.
// CHECK-LABEL: func.func @what_changes_places_in_a_loop_is_not_empty(
// CHECK:         tensor.extract_slice
// CHECK:         tensor.insert_slice
func.func @what_changes_places_in_a_loop_is_not_empty(%x: tensor<7x0xf32>, %y: tensor<7x?xf32>, %n: index,
                                                      %from: index, %to: index, %by: index)
    -> (tensor<7x?xf32>, tensor<7x?xf32>) {
  %0 = tensor.cast %x : tensor<7x0xf32> to tensor<7x?xf32>
  %1:2 = scf.for %i = %from to %to step %by iter_args(%a = %0, %c = %y) -> (tensor<7x?xf32>, tensor<7x?xf32>) {
    %2 = tensor.extract_slice %a[0, 0] [3, %n] [1, 1] : tensor<7x?xf32> to tensor<3x?xf32>
    %3 = tensor.insert_slice %2 into %a[2, 0] [3, %n] [1, 1] : tensor<3x?xf32> into tensor<7x?xf32>
    scf.yield %c, %3 : tensor<7x?xf32>, tensor<7x?xf32>
  }
  return %1#0, %1#1 : tensor<7x?xf32>, tensor<7x?xf32>
}

// What each turn joins a column to is empty in the first alone.
// CHECK-LABEL: func.func @what_a_loop_makes_larger_is_not_empty(
// CHECK:         tensor.insert_slice
// CHECK:         tensor.extract_slice
func.func @what_a_loop_makes_larger_is_not_empty(%x: tensor<7x0xf32>, %from: index, %to: index, %by: index)
    -> tensor<3x?xf32> {
  %one = arith.constant 1 : index
  %0 = tensor.cast %x : tensor<7x0xf32> to tensor<7x?xf32>
  %1 = scf.for %i = %from to %to step %by iter_args(%a = %0) -> (tensor<7x?xf32>) {
    %columns = tensor.dim %a, %one : tensor<7x?xf32>
    %more = arith.addi %columns, %one : index
    %2 = tensor.empty(%more) : tensor<7x?xf32>
    %3 = tensor.insert_slice %a into %2[0, 1] [7, %columns] [1, 1] : tensor<7x?xf32> into tensor<7x?xf32>
    scf.yield %3 : tensor<7x?xf32>
  }
  %all = tensor.dim %1, %one : tensor<7x?xf32>
  %4 = tensor.extract_slice %1[0, 0] [3, %all] [2, 1] : tensor<7x?xf32> to tensor<3x?xf32>
  return %4 : tensor<3x?xf32>
}
