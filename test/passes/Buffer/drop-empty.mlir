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
