// RUN: stepdown-opt %s -select-block-dot=target=x86-64-v4-bf16 -select-tile-ops=target=x86-64-v4-bf16 | FileCheck %s
// RUN: stepdown-opt %s -select-block-dot=target=x86-64-v4-vnni -select-tile-ops=target=x86-64-v4-vnni | FileCheck %s --check-prefix=FLOATS
// RUN: stepdown-opt %s -select-block-dot=target=x86-64-v3 -select-tile-ops=target=x86-64-v3 | FileCheck %s --check-prefix=FLOATS

#w = affine_map<(m, t, n, k) -> (n, k)>
#a = affine_map<(m, t, n, k) -> (m, k)>
#y = affine_map<(m, t, n, k) -> (m, t, n)>
!lanes = vector<16xf32>

// The nearest to 32 values, two neighbours a word, and behind these the nearest to what they leave.
// CHECK-LABEL: @pack_two
// CHECK: %[[NEAREST:.*]] = arith.truncf %[[X:.*]] : vector<16xf32> to vector<16xbf16>
// CHECK: vector.bitcast %[[NEAREST]] : vector<16xbf16> to vector<8xi32>
// CHECK-COUNT-8: llvm.store %{{.*}} : i32
// CHECK: %[[GIVEN:.*]] = arith.extf %[[NEAREST]] : vector<16xbf16> to vector<16xf32>
// CHECK: arith.subf %[[X]], %[[GIVEN]]
// CHECK-COUNT-24: llvm.store %{{.*}} : i32
// CHECK-NOT: tile.pack_activation
// Other targets have the values.
// FLOATS-LABEL: @pack_two
// FLOATS-NOT: bf16>
// FLOATS-COUNT-32: llvm.store %{{.*}} : f32
func.func @pack_two(%x: memref<?x2x!lanes>, %a: memref<?x1x!transformer.activation<bf16x2, tokens = 4>>) {
  tile.pack_activation ins(%x : memref<?x2x!lanes>) outs(%a : memref<?x1x!transformer.activation<bf16x2, tokens = 4>>)
  return
}

// CHECK-LABEL: @pack_one
// CHECK-COUNT-2: arith.truncf
// CHECK-NOT: arith.truncf
// CHECK: return
func.func @pack_one(%x: memref<?x2x!lanes>, %a: memref<?x1x!transformer.activation<bf16>>) {
  tile.pack_activation ins(%x : memref<?x2x!lanes>) outs(%a : memref<?x1x!transformer.activation<bf16>>)
  return
}

// One token: columns of a row come together, and are multiplied as they are; a sum for either number of a value.
// CHECK-LABEL: @one_token
// CHECK: scf.for {{.*}} iter_args(%[[FIRST:.*]] = %{{.*}}, %[[SECOND:.*]] = %{{.*}}) -> (vector<16xf32>, vector<16xf32>)
// CHECK: vector.shuffle {{.*}} [0, 16, 1, 17, 2, 18, {{.*}} 15, 31] : vector<32xi16>, vector<32xi16>
// CHECK: "llvm.x86.avx512bf16.dpbf16ps.512"(%[[FIRST]], %{{.*}}, %{{.*}}) : (vector<16xf32>, vector<32xbf16>, vector<32xbf16>) -> vector<16xf32>
// CHECK: "llvm.x86.avx512bf16.dpbf16ps.512"(%[[SECOND]],
// CHECK-COUNT-30: "llvm.x86.avx512bf16.dpbf16ps.512"
// CHECK-NOT: "llvm.x86.avx512bf16.dpbf16ps.512"
// CHECK: arith.addf
// CHECK: return
// FLOATS-LABEL: @one_token
// FLOATS-NOT: dpbf16ps
// FLOATS: math.fma
// FLOATS: return
func.func @one_token(%w: memref<?x?x!transformer.block<bf16, rows = 16>>, %a: memref<?x?x!transformer.activation<bf16x2>>, %y: memref<?x1x?xvector<16xf32>>) {
  linalg.generic {indexing_maps = [#w, #a, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %a : memref<?x?x!transformer.block<bf16, rows = 16>>, memref<?x?x!transformer.activation<bf16x2>>)
      outs(%y : memref<?x1x?xvector<16xf32>>) {
  ^bb0(%b: !transformer.block<bf16, rows = 16>, %x: !transformer.activation<bf16x2>, %sum: vector<16xf32>):
    %t = linalg.index 1 : index
    %0 = tile.block_dot %b, %x[%t], %sum : !transformer.block<bf16, rows = 16>, !transformer.activation<bf16x2>, vector<16xf32>
    linalg.yield %0 : vector<16xf32>
  }
  return
}

// Sixteen tokens stay in registers while 256 columns pass, which are brought together once for all tiles.
// CHECK-LABEL: @sixteen_tokens
// CHECK: llvm.intr.prefetch
// CHECK-COUNT-16: vector.shuffle {{.*}} : vector<32xi16>, vector<32xi16>
// CHECK: scf.for {{.*}} to %c16{{.*}} step %c4
// CHECK-COUNT-64: "llvm.x86.avx512bf16.dpbf16ps.512"
// CHECK-NOT: "llvm.x86.avx512bf16.dpbf16ps.512"
// CHECK: return
func.func @sixteen_tokens(%w: memref<?x?x!transformer.block<bf16, rows = 16>>, %a: memref<?x?x!transformer.activation<bf16, tokens = 16>>, %y: memref<?x16x?xvector<16xf32>>) {
  linalg.generic {indexing_maps = [#w, #a, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %a : memref<?x?x!transformer.block<bf16, rows = 16>>, memref<?x?x!transformer.activation<bf16, tokens = 16>>)
      outs(%y : memref<?x16x?xvector<16xf32>>) {
  ^bb0(%b: !transformer.block<bf16, rows = 16>, %x: !transformer.activation<bf16, tokens = 16>, %sum: vector<16xf32>):
    %t = linalg.index 1 : index
    %0 = tile.block_dot %b, %x[%t], %sum : !transformer.block<bf16, rows = 16>, !transformer.activation<bf16, tokens = 16>, vector<16xf32>
    linalg.yield %0 : vector<16xf32>
  }
  return
}
