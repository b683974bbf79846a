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

// -----

module attributes {transformer.plain} {
  module @kernels {
    // Arrays that a loop of affine hands on have no form on buffers; a loop inside it has its variable for a bound.
    // CHECK-LABEL: func.func @affine_loops_of_arrays(
    // CHECK-NOT:     affine.{{for|if|yield}}
    // CHECK:         scf.for
    // CHECK:           scf.for
    // CHECK:             scf.if
    // CHECK-NOT:     affine.{{for|if|yield}}
    // CHECK:         return
    func.func @affine_loops_of_arrays(%x: tensor<5xf32>) -> tensor<5xf32> {
      %0 = affine.for %i = 0 to 3 iter_args(%a = %x) -> tensor<5xf32> {
        %1 = affine.for %j = affine_map<(d0) -> (d0)>(%i) to 3 iter_args(%b = %a) -> tensor<5xf32> {
          %2 = affine.if affine_set<(d0) : (d0 - 1 >= 0)>(%j) -> tensor<5xf32> {
            affine.yield %b : tensor<5xf32>
          } else {
            affine.yield %x : tensor<5xf32>
          }
          affine.yield %2 : tensor<5xf32>
        }
        affine.yield %1 : tensor<5xf32>
      }
      return %0 : tensor<5xf32>
    }

    // A number beyond 32 bits is no case, so it becomes one that is no case, the first: 0 and 1 are.
    // CHECK-LABEL: func.func @switch_on_a_number(%arg0: index
    // CHECK:         %[[FITS:.*]] = arith.cmpi ult
    // CHECK:         %[[OTHER:.*]] = arith.constant 2 : index
    // CHECK:         %[[NARROW:.*]] = arith.select %[[FITS]], %arg0, %[[OTHER]]
    // CHECK:         scf.index_switch %[[NARROW]]
    // CHECK:         case 0
    // CHECK:         case 1
    func.func @switch_on_a_number(%n: index, %x: i32, %y: i32) -> i32 {
      %0 = scf.index_switch %n -> i32
      case 0 {
        scf.yield %x : i32
      }
      case 1 {
        scf.yield %y : i32
      }
      default {
        scf.yield %x : i32
      }
      return %0 : i32
    }

    // Cases beyond 32 bits are known by their position.
    // CHECK-LABEL: func.func @switch_with_large_cases(
    // CHECK-COUNT-2: arith.select
    // CHECK:         scf.index_switch
    // CHECK:         case 0
    // CHECK:         case 1
    func.func @switch_with_large_cases(%n: index, %x: i32, %y: i32) -> i32 {
      %0 = scf.index_switch %n -> i32
      case 4294967296 {
        scf.yield %x : i32
      }
      case -1 {
        scf.yield %y : i32
      }
      default {
        scf.yield %x : i32
      }
      return %0 : i32
    }

    // CHECK-LABEL: func.func @switch_on_32_bits(
    // CHECK:         %[[N:.*]] = arith.index_cast
    // CHECK-NEXT:    scf.index_switch %[[N]]
    func.func @switch_on_32_bits(%n: i32, %x: i32) -> i32 {
      %i = arith.index_cast %n : i32 to index
      %0 = scf.index_switch %i -> i32
      case 4 {
        scf.yield %x : i32
      }
      default {
        scf.yield %n : i32
      }
      return %0 : i32
    }
  }
}
