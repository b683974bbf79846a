// RUN: stepdown-opt %s -split-input-file -decompose-operations | FileCheck %s

// CHECK-LABEL: func.func @aggregates(
// CHECK-NOT:     linalg.softmax
// CHECK-NOT:     tensor.concat
// CHECK:         tensor.insert_slice
// CHECK:         math.exp
func.func @aggregates(%x: tensor<3x12xf32>, %o: tensor<6x12xf32>) -> tensor<6x12xf32> {
  %0 = tensor.concat dim(0) %x, %x : (tensor<3x12xf32>, tensor<3x12xf32>) -> tensor<6x12xf32>
  %1 = linalg.softmax dimension(1) ins(%0 : tensor<6x12xf32>) outs(%o : tensor<6x12xf32>) -> tensor<6x12xf32>
  return %1 : tensor<6x12xf32>
}

// -----

// The pass brings the dialect of what it makes: nothing in this module is of ours.
// CHECK-LABEL: func.func @elementary(
// CHECK:         transformer.elementary "math.exp"
func.func @elementary(%x: f32) -> f32 {
  %0 = math.exp %x : f32
  return %0 : f32
}

// -----

// Arrays take the place of batch, cache and blocks of one float.
module attributes {transformer.plain} {
  module @kernels {
    // CHECK-LABEL: func.func @attend(
    // CHECK-SAME:    %{{.*}}: tensor<?x8xf32>, %{{.*}}: tensor<?xi32>, %[[CACHE:.*]]: tensor<?x16xf16>) -> tensor<?x8xf32>
    // CHECK:         tensor.extract_slice %[[CACHE]][0, 0]
    // CHECK:         tensor.extract_slice %[[CACHE]][0, 8]
    // CHECK:         arith.cmpi sge
    // CHECK:         transformer.elementary "math.exp"
    // CHECK-NOT:     transformer.
    // CHECK:         return
    func.func @attend(%q: tensor<?x8xf32>, %b: !transformer.batch, %c: !transformer.cache<heads = 2, key = 4, value = 4, element = f16>) -> tensor<?x8xf32> {
      %0 = transformer.attention %q, %b, %c {scale = 0.5 : f64} : (tensor<?x8xf32>, !transformer.batch, !transformer.cache<heads = 2, key = 4, value = 4, element = f16>) -> tensor<?x8xf32>
      return %0 : tensor<?x8xf32>
    }

    // CHECK-LABEL: func.func @append(
    // CHECK:         scf.for {{.*}} -> (tensor<?x16xf16>)
    // CHECK:           tensor.insert_slice %{{.*}}[%{{.*}}, 0] [1, 8]
    // CHECK:           tensor.insert_slice %{{.*}}[%{{.*}}, 8] [1, 8]
    func.func @append(%k: tensor<?x8xf32>, %b: !transformer.batch, %c: !transformer.cache<heads = 2, key = 4, value = 4, element = f16>) -> !transformer.cache<heads = 2, key = 4, value = 4, element = f16> {
      %0 = transformer.kv_append %k, %k, %b, %c : tensor<?x8xf32>, tensor<?x8xf32>, !transformer.cache<heads = 2, key = 4, value = 4, element = f16>
      return %0 : !transformer.cache<heads = 2, key = 4, value = 4, element = f16>
    }

    // CHECK-LABEL: func.func @rotate_and_multiply(
    // CHECK-SAME:    tensor<24x8xbf16>
    // CHECK-DAG:     transformer.elementary "math.cos"
    // CHECK-DAG:     transformer.elementary "math.sin"
    // CHECK:         arith.extf %{{.*}} : bf16 to f32
    func.func @rotate_and_multiply(%x: tensor<?x8xf32>, %b: !transformer.batch, %w: tensor<24x8x!transformer.block<bf16>>) -> tensor<?x24xf32> {
      %0 = transformer.rope half %x, %b {head_dim = 4 : i64, inverse_frequencies = array<f64: 1.0, 0.1>} : tensor<?x8xf32>
      %1 = transformer.linear %0, %w : (tensor<?x8xf32>, tensor<24x8x!transformer.block<bf16>>) -> tensor<?x24xf32>
      return %1 : tensor<?x24xf32>
    }
  }
}
