// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -select-block-dot
// RUN: not stepdown-opt %s -split-input-file -select-block-dot=target=x86-64-v9 2>&1 | FileCheck %s

// CHECK: error: expects a known target, but got 'x86-64-v9'
#w = affine_map<(n, k) -> (n, k)>
#a = affine_map<(n, k) -> (k)>
#y = affine_map<(n, k) -> (n)>
func.func @other_loops(%w: memref<?x?x!transformer.block<q4_1, rows = 16>>, %a: memref<?x!transformer.activation<q8>>,
                       %y: memref<?xvector<16xf32>>) {
  // expected-error @+1 {{expects block_dot on memrefs of packed blocks over (token tile, token, row tile, block)}}
  linalg.generic {indexing_maps = [#w, #a, #y], iterator_types = ["parallel", "reduction"]}
      ins(%w, %a : memref<?x?x!transformer.block<q4_1, rows = 16>>, memref<?x!transformer.activation<q8>>)
      outs(%y : memref<?xvector<16xf32>>) {
  ^bb0(%b: !transformer.block<q4_1, rows = 16>, %x: !transformer.activation<q8>, %sum: vector<16xf32>):
    %t = linalg.index 0 : index
    %0 = tile.block_dot %b, %x[%t], %sum : !transformer.block<q4_1, rows = 16>, !transformer.activation<q8>, vector<16xf32>
    linalg.yield %0 : vector<16xf32>
  }
  return
}

// -----

#w4 = affine_map<(m, t, n, k) -> (n, k)>
#a4 = affine_map<(m, t, n, k) -> (m, k)>
#y4 = affine_map<(m, t, n, k) -> (m, t, n)>
func.func @tensors(%w: tensor<?x?x!transformer.block<q4_1, rows = 16>>, %a: tensor<?x?x!transformer.activation<q8>>,
                   %y: tensor<?x1x?xvector<16xf32>>) -> tensor<?x1x?xvector<16xf32>> {
  // expected-error @+1 {{expects block_dot on memrefs of packed blocks}}
  %z = linalg.generic {indexing_maps = [#w4, #a4, #y4], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %a : tensor<?x?x!transformer.block<q4_1, rows = 16>>, tensor<?x?x!transformer.activation<q8>>)
      outs(%y : tensor<?x1x?xvector<16xf32>>) {
  ^bb0(%b: !transformer.block<q4_1, rows = 16>, %x: !transformer.activation<q8>, %sum: vector<16xf32>):
    %t = linalg.index 1 : index
    %0 = tile.block_dot %b, %x[%t], %sum : !transformer.block<q4_1, rows = 16>, !transformer.activation<q8>, vector<16xf32>
    linalg.yield %0 : vector<16xf32>
  } -> tensor<?x1x?xvector<16xf32>>
  return %z : tensor<?x1x?xvector<16xf32>>
}
