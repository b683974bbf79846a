// RUN: stepdown-opt %s -select-block-dot=target=x86-64-v3 | FileCheck %s
// Tiles of 16 tokens at AVX2: eight registers of pairs' sums, whatever the codes; twelve of sums of floats.

#w = affine_map<(m, t, n, k) -> (n, k)>
#a = affine_map<(m, t, n, k) -> (m, k)>
#y = affine_map<(m, t, n, k) -> (m, t, n)>

// Pairs of two quads fit 16 bits: they become 32 bits at once, times the scale of their 16 columns, four tokens together.
// Outliers' products are added as integers, times 128 times the scale of the columns that they are in.
// CHECK-LABEL: @six_bits_and_outliers
// CHECK: llvm.inline_asm
// CHECK-COUNT-2: "llvm.x86.avx2.pmadd.ub.sw"
// CHECK: arith.addi
// CHECK: %[[SCALE:.*]] = llvm.load %{{.*}} : !llvm.ptr -> vector<8xi32>
// CHECK: %[[PAIRS:.*]] = vector.bitcast %[[SCALE]] : vector<8xi32> to vector<16xi16>
// CHECK: "llvm.x86.avx2.pmadd.wd"(%{{.*}}, %[[PAIRS]])
// CHECK-COUNT-31: "llvm.x86.avx2.pmadd.wd"
// CHECK: %[[PLACE:.*]] = arith.index_cast %{{.*}} : i32 to index
// CHECK: %[[UPPER:.*]] = arith.andi %[[PLACE]], %c256
// CHECK: arith.divui %[[UPPER]], %c4
// CHECK-COUNT-4: "llvm.x86.avx2.pmadd.wd"
// CHECK: arith.sitofp
// CHECK-COUNT-12: "llvm.x86.avx2.pmadd.wd"
// CHECK-NOT: "llvm.x86.avx2.pmadd.wd"
// CHECK: return
func.func @six_bits_and_outliers(%w: memref<?x?x!transformer.block<q6_k, rows = 16>>, %a: memref<?x?x!transformer.activation<q8o2, tokens = 16, columns = 256>>, %y: memref<?x16x?xvector<16xf32>>) {
  linalg.generic {indexing_maps = [#w, #a, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %a : memref<?x?x!transformer.block<q6_k, rows = 16>>, memref<?x?x!transformer.activation<q8o2, tokens = 16, columns = 256>>)
      outs(%y : memref<?x16x?xvector<16xf32>>) {
  ^bb0(%b: !transformer.block<q6_k, rows = 16>, %x: !transformer.activation<q8o2, tokens = 16, columns = 256>, %sum: vector<16xf32>):
    %t = linalg.index 1 : index
    %0 = tile.block_dot %b, %x[%t], %sum : !transformer.block<q6_k, rows = 16>, !transformer.activation<q8o2, tokens = 16, columns = 256>, vector<16xf32>
    linalg.yield %0 : vector<16xf32>
  }
  return
}

// Pairs of 8-bit codes do not fit 16 bits: weights and activations are 16 bits wide, the latter with outliers' high codes
// where their quads' numbers say.
// CHECK-LABEL: @codes_of_eight_bits
// CHECK: arith.shrsi %{{.*}} : vector<32xi16>
// CHECK: arith.cmpi eq, %{{.*}}, %{{.*}} : vector<8xi32>
// CHECK: arith.addi %{{.*}} : vector<16xi16>
// CHECK: llvm.store %{{.*}} : vector<16xi16>
// CHECK: scf.for %{{.*}} = %{{.*}} to %c4
// CHECK: llvm.inline_asm
// CHECK-NOT: pmadd.ub.sw
// CHECK-COUNT-128: "llvm.x86.avx2.pmadd.wd"
// CHECK-NOT: "llvm.x86.avx2.pmadd
// CHECK-COUNT-8: llvm.store %{{.*}} : vector<8xf32>
// CHECK: return
func.func @codes_of_eight_bits(%w: memref<?x?x!transformer.block<q8_0, rows = 16>>, %a: memref<?x?x!transformer.activation<q8o2, tokens = 16>>, %y: memref<?x16x?xvector<16xf32>>) {
  linalg.generic {indexing_maps = [#w, #a, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %a : memref<?x?x!transformer.block<q8_0, rows = 16>>, memref<?x?x!transformer.activation<q8o2, tokens = 16>>)
      outs(%y : memref<?x16x?xvector<16xf32>>) {
  ^bb0(%b: !transformer.block<q8_0, rows = 16>, %x: !transformer.activation<q8o2, tokens = 16>, %sum: vector<16xf32>):
    %t = linalg.index 1 : index
    %0 = tile.block_dot %b, %x[%t], %sum : !transformer.block<q8_0, rows = 16>, !transformer.activation<q8o2, tokens = 16>, vector<16xf32>
    linalg.yield %0 : vector<16xf32>
  }
  return
}

// Of a tile of four tokens half a register at a time is widened.
// CHECK-LABEL: @codes_of_eight_bits_for_four
// CHECK: llvm.load %{{.*}} : !llvm.ptr -> vector<8xi16>
// CHECK: llvm.store %{{.*}} : vector<8xi16>
// CHECK: scf.for %{{.*}} = %{{.*}} to %c1
// CHECK-COUNT-128: "llvm.x86.avx2.pmadd.wd"
// CHECK-NOT: "llvm.x86.avx2.pmadd
// CHECK-COUNT-8: llvm.store %{{.*}} : vector<8xf32>
// CHECK: return
func.func @codes_of_eight_bits_for_four(%w: memref<?x?x!transformer.block<q8_0, rows = 16>>, %a: memref<?x?x!transformer.activation<q8x2, tokens = 4>>, %y: memref<?x4x?xvector<16xf32>>) {
  linalg.generic {indexing_maps = [#w, #a, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %a : memref<?x?x!transformer.block<q8_0, rows = 16>>, memref<?x?x!transformer.activation<q8x2, tokens = 4>>)
      outs(%y : memref<?x4x?xvector<16xf32>>) {
  ^bb0(%b: !transformer.block<q8_0, rows = 16>, %x: !transformer.activation<q8x2, tokens = 4>, %sum: vector<16xf32>):
    %t = linalg.index 1 : index
    %0 = tile.block_dot %b, %x[%t], %sum : !transformer.block<q8_0, rows = 16>, !transformer.activation<q8x2, tokens = 4>, vector<16xf32>
    linalg.yield %0 : vector<16xf32>
  }
  return
}

// With one code a value, each product's activations get the sign of the weight whose magnitude they are multiplied
// with.
// CHECK-LABEL: @codes_with_a_sign
// CHECK: math.absi %{{.*}} : vector<64xi8>
// CHECK: scf.for %{{.*}} = %{{.*}} to %c4
// CHECK-COUNT-64: "llvm.x86.avx2.psign.b"
// CHECK-NOT: "llvm.x86.avx2.psign.b"
// CHECK-COUNT-8: llvm.store %{{.*}} : vector<8xf32>
// CHECK: return
func.func @codes_with_a_sign(%w: memref<?x?x!transformer.block<iq4_nl, rows = 16>>, %a: memref<?x?x!transformer.activation<q8, tokens = 16>>, %y: memref<?x16x?xvector<16xf32>>) {
  linalg.generic {indexing_maps = [#w, #a, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %a : memref<?x?x!transformer.block<iq4_nl, rows = 16>>, memref<?x?x!transformer.activation<q8, tokens = 16>>)
      outs(%y : memref<?x16x?xvector<16xf32>>) {
  ^bb0(%b: !transformer.block<iq4_nl, rows = 16>, %x: !transformer.activation<q8, tokens = 16>, %sum: vector<16xf32>):
    %t = linalg.index 1 : index
    %0 = tile.block_dot %b, %x[%t], %sum : !transformer.block<iq4_nl, rows = 16>, !transformer.activation<q8, tokens = 16>, vector<16xf32>
    linalg.yield %0 : vector<16xf32>
  }
  return
}

// A code counts 256 times its residual code: that is a factor of its pairs, not a shift of its sum. What codes are too
// large by comes off as integers.
// CHECK-LABEL: @residual_codes
// CHECK: scf.for %{{.*}} = %{{.*}} to %c8
// CHECK: llvm.inline_asm
// CHECK-COUNT-64: "llvm.x86.avx2.pmadd.ub.sw"
// CHECK: dense<256> : vector<16xi16>
// CHECK-COUNT-8: "llvm.x86.avx2.pmadd.wd"
// CHECK: arith.subi
// CHECK: arith.sitofp
// CHECK: return
func.func @residual_codes(%w: memref<?x?x!transformer.block<q4_0, rows = 16>>, %a: memref<?x?x!transformer.activation<q8x2, tokens = 16>>, %y: memref<?x16x?xvector<16xf32>>) {
  linalg.generic {indexing_maps = [#w, #a, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %a : memref<?x?x!transformer.block<q4_0, rows = 16>>, memref<?x?x!transformer.activation<q8x2, tokens = 16>>)
      outs(%y : memref<?x16x?xvector<16xf32>>) {
  ^bb0(%b: !transformer.block<q4_0, rows = 16>, %x: !transformer.activation<q8x2, tokens = 16>, %sum: vector<16xf32>):
    %t = linalg.index 1 : index
    %0 = tile.block_dot %b, %x[%t], %sum : !transformer.block<q4_0, rows = 16>, !transformer.activation<q8x2, tokens = 16>, vector<16xf32>
    linalg.yield %0 : vector<16xf32>
  }
  return
}

// Float activations: up to 128 columns are unpacked once, and the 16 tokens add them 6, 5 and 5 at a time, two registers each.
// CHECK-LABEL: func.func @half_and_float(
// CHECK-COUNT-32: llvm.store %{{.*}} : vector<16xf32>
// CHECK: scf.for
// CHECK-COUNT-12: llvm.load %{{.*}} -> vector<8xf32>
// CHECK: scf.for {{.*}} iter_args({{.*}}) -> (vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>)
// CHECK-COUNT-48: math.fma {{.*}} : vector<8xf32>
// CHECK-NOT: math.fma
// CHECK-COUNT-12: llvm.store %{{.*}} : vector<8xf32>
// CHECK-COUNT-40: math.fma
// CHECK-COUNT-40: math.fma
// CHECK-NOT: math.fma
// CHECK: return
func.func @half_and_float(%w: memref<?x?x!transformer.block<f16, rows = 16>>, %a: memref<?x?x!transformer.activation<f32, tokens = 16>>, %y: memref<?x16x?xvector<16xf32>>) {
  linalg.generic {indexing_maps = [#w, #a, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %a : memref<?x?x!transformer.block<f16, rows = 16>>, memref<?x?x!transformer.activation<f32, tokens = 16>>)
      outs(%y : memref<?x16x?xvector<16xf32>>) {
  ^bb0(%b: !transformer.block<f16, rows = 16>, %x: !transformer.activation<f32, tokens = 16>, %sum: vector<16xf32>):
    %t = linalg.index 1 : index
    %0 = tile.block_dot %b, %x[%t], %sum : !transformer.block<f16, rows = 16>, !transformer.activation<f32, tokens = 16>, vector<16xf32>
    linalg.yield %0 : vector<16xf32>
  }
  return
}
