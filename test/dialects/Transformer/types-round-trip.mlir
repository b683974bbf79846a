// RUN: stepdown-opt %s | stepdown-opt | FileCheck %s

// CHECK-LABEL: @blocks
// CHECK-SAME: (tensor<4x2x!transformer.block<q4_1>>, tensor<4x2x!transformer.block<q6_k, rows = 16>>, memref<4x2x!transformer.block<f32>>)
func.func private @blocks(tensor<4x2x!transformer.block<q4_1>>, tensor<4x2x!transformer.block<q6_k, rows = 16>>,
                          memref<4x2x!transformer.block<f32>>)

// CHECK-LABEL: @activations
// CHECK-SAME: (tensor<?x2x!transformer.activation<q8>>, memref<?x2x!transformer.activation<f32, tokens = 16>>,
// CHECK-SAME: tensor<?x2x!transformer.activation<q8, columns = 256>>, memref<2x!transformer.activation<q8, tokens = 4, columns = 256>>)
func.func private @activations(tensor<?x2x!transformer.activation<q8>>, memref<?x2x!transformer.activation<f32, tokens = 16>>,
                               tensor<?x2x!transformer.activation<q8, columns = 256>>,
                               memref<2x!transformer.activation<q8, tokens = 4, columns = 256>>)

// CHECK-LABEL: @cache
// CHECK-SAME: (!transformer.batch, !transformer.cache<heads = 3, key = 64, value = 32, element = f32>)
func.func private @cache(!transformer.batch, !transformer.cache<heads = 3, key = 64, value = 32, element = f32>)
