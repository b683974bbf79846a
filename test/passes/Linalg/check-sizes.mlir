// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -pass-pipeline='builtin.module(func.func(check-sizes))' | FileCheck %s

// CHECK-LABEL: func.func @sizes_that_meet(
// CHECK:         cf.assert %{{.*}}, "linalg.matmul: expects dimension 0 of operand 1 to equal dimension 1 of operand 0, but they differ"
// CHECK:         linalg.matmul
func.func @sizes_that_meet(%a: tensor<4x?xf32>, %b: tensor<?x5xf32>, %c: tensor<4x5xf32>) -> tensor<4x5xf32> {
  %0 = linalg.matmul ins(%a, %b : tensor<4x?xf32>, tensor<?x5xf32>) outs(%c : tensor<4x5xf32>) -> tensor<4x5xf32>
  return %0 : tensor<4x5xf32>
}

// CHECK-LABEL: func.func @types_prove_it(
// CHECK-NOT:     cf.assert
// CHECK:         return
func.func @types_prove_it(%a: tensor<4x3xf32>, %b: tensor<3x5xf32>, %c: tensor<4x5xf32>, %n: i32) -> (tensor<4x5xf32>, i32, f32) {
  %0 = linalg.matmul ins(%a, %b : tensor<4x3xf32>, tensor<3x5xf32>) outs(%c : tensor<4x5xf32>) -> tensor<4x5xf32>
  %c2 = arith.constant 2 : index
  %three = arith.constant 3 : i32
  %1 = arith.divsi %n, %three : i32
  %2 = tensor.extract %0[%c2, %c2] : tensor<4x5xf32>
  return %0, %1, %2 : tensor<4x5xf32>, i32, f32
}

// CHECK-LABEL: func.func @index_inside(
// CHECK:         cf.assert %{{.*}}, "tensor.extract: expects index 0 inside the tensor, but it lies outside"
func.func @index_inside(%a: tensor<?xf32>, %i: index) -> f32 {
  %0 = tensor.extract %a[%i] : tensor<?xf32>
  return %0 : f32
}

// CHECK-LABEL: func.func @slice_inside(
// CHECK:         cf.assert %{{.*}}, "tensor.extract_slice: expects a slice inside dimension 0, but it ends outside"
func.func @slice_inside(%a: tensor<8xf32>, %i: index) -> tensor<2xf32> {
  %0 = tensor.extract_slice %a[%i] [2] [1] : tensor<8xf32> to tensor<2xf32>
  return %0 : tensor<2xf32>
}

// CHECK-LABEL: func.func @divisor(
// CHECK:         cf.assert %{{.*}}, "arith.divsi: expects a divisor other than 0"
// CHECK:         cf.assert %{{.*}}, "arith.divsi: expects a quotient that fits its type"
func.func @divisor(%a: i32, %b: i32) -> i32 {
  %0 = arith.divsi %a, %b : i32
  return %0 : i32
}

// CHECK-LABEL: func.func @windows(
// CHECK:         cf.assert %{{.*}}, "linalg.conv_1d: expects dimension 0 of operand 0 to hold every window, but it is too small"
func.func @windows(%a: tensor<?xf32>, %w: tensor<3xf32>, %o: tensor<?xf32>) -> tensor<?xf32> {
  %0 = linalg.conv_1d ins(%a, %w : tensor<?xf32>, tensor<3xf32>) outs(%o : tensor<?xf32>) -> tensor<?xf32>
  return %0 : tensor<?xf32>
}

// -----

func.func @no_form_on_buffers(%a: tensor<4xf32>, %i: tensor<2x1xindex>) -> tensor<2xf32> {
  // expected-error @+1 {{'tensor.gather' op expects operations that have a form on buffers, but this has none}}
  %0 = tensor.gather %a[%i] gather_dims([0]) : (tensor<4xf32>, tensor<2x1xindex>) -> tensor<2xf32>
  return %0 : tensor<2xf32>
}

// -----

// What a caller says about sizes is computed in 128 bits.
// CHECK-LABEL: func.func @wide(
// CHECK:         cf.assert %{{.*}}, "tensor.pad: expects padding of at least 0"
// CHECK:         arith.addi %{{.*}} : i128
// CHECK:         cf.assert %{{.*}}, "stepdown: the array is too large"
func.func @wide(%a: tensor<?xf32>, %n: index) -> tensor<?xf32> {
  %z = arith.constant 0.0 : f32
  %0 = tensor.pad %a low[%n] high[0] {
  ^bb0(%i: index):
    tensor.yield %z : f32
  } : tensor<?xf32> to tensor<?xf32>
  return %0 : tensor<?xf32>
}

// CHECK-LABEL: func.func @made(
// CHECK:         cf.assert %{{.*}}, "tensor.empty: expects a size of at least 0 in dimension 1, but got less"
// CHECK:         cf.assert %{{.*}}, "stepdown: the array is too large"
func.func @made(%n: index) -> tensor<3x?xf32> {
  %0 = tensor.empty(%n) : tensor<3x?xf32>
  return %0 : tensor<3x?xf32>
}

// Constants are checked as operands are.
// CHECK-LABEL: func.func @constant_slice(
// CHECK:         cf.assert %{{.*}}, "tensor.extract_slice: expects a slice inside dimension 0, but it ends outside"
func.func @constant_slice(%a: tensor<5xf32>) -> tensor<2xf32> {
  %c4 = arith.constant 4 : index
  %0 = tensor.extract_slice %a[%c4] [2] [1] : tensor<5xf32> to tensor<2xf32>
  return %0 : tensor<2xf32>
}

// CHECK-LABEL: func.func @several_sizes(
// CHECK:         cf.assert %{{.*}}, "tensor.expand_shape: expects as many elements as there were"
// CHECK:         tensor.expand_shape
func.func @several_sizes(%a: tensor<?xf32>, %n: index, %m: index) -> tensor<?x?xf32> {
  %0 = tensor.expand_shape %a [[0, 1]] output_shape [%n, %m] : tensor<?xf32> into tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}

// CHECK-LABEL: func.func @reshape(
// CHECK:         tensor.collapse_shape
// CHECK:         cf.assert %{{.*}}, "tensor.reshape: expects as many elements as there were"
// CHECK:         tensor.expand_shape
// CHECK-NOT:     tensor.reshape
func.func @reshape(%a: tensor<?x?xf32>, %s: tensor<2xindex>) -> tensor<?x?xf32> {
  %0 = tensor.reshape %a(%s) : (tensor<?x?xf32>, tensor<2xindex>) -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}

// CHECK-LABEL: func.func @no_such_dimension(
// CHECK:         cf.assert %{{.*}}, "tensor.dim: expects an index below the rank of 1"
func.func @no_such_dimension(%a: tensor<?xf32>, %i: index) -> index {
  %0 = tensor.dim %a, %i : tensor<?xf32>
  return %0 : index
}

// One assertion for a chain of operations on arrays of one shape: results have the sizes of what they are computed into.
// CHECK-LABEL: func.func @chain(
// CHECK-COUNT-1: cf.assert
// CHECK-NOT:     cf.assert
// CHECK:         return
func.func @chain(%a: tensor<?xf32>, %b: tensor<?xf32>) -> tensor<?xf32> {
  %0 = linalg.add ins(%a, %b : tensor<?xf32>, tensor<?xf32>) outs(%a : tensor<?xf32>) -> tensor<?xf32>
  %1 = linalg.mul ins(%0, %b : tensor<?xf32>, tensor<?xf32>) outs(%a : tensor<?xf32>) -> tensor<?xf32>
  %2 = linalg.sub ins(%1, %b : tensor<?xf32>, tensor<?xf32>) outs(%1 : tensor<?xf32>) -> tensor<?xf32>
  return %2 : tensor<?xf32>
}

// What a branch asserts does not hold beside it.
// CHECK-LABEL: func.func @branches(
// CHECK-COUNT-2: cf.assert
func.func @branches(%a: tensor<?xf32>, %i: index, %c: i1) -> f32 {
  %0 = scf.if %c -> f32 {
    %1 = tensor.extract %a[%i] : tensor<?xf32>
    scf.yield %1 : f32
  } else {
    %2 = tensor.extract %a[%i] : tensor<?xf32>
    %3 = arith.negf %2 : f32
    scf.yield %3 : f32
  }
  return %0 : f32
}
