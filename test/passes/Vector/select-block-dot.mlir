// RUN: stepdown-opt %s -select-block-dot=target=x86-64-v4-vnni | FileCheck %s --check-prefixes=CHECK,V4
// RUN: stepdown-opt %s -select-block-dot=target=x86-64-v3 | FileCheck %s --check-prefixes=CHECK,V3
// RUN: stepdown-opt %s -select-block-dot=target=x86-64-v3-vnni | FileCheck %s --check-prefix=VNNI
// RUN: stepdown-opt %s -select-block-dot=target=aarch64-dotprod | FileCheck %s --check-prefix=NEON

#w = affine_map<(m, t, n, k) -> (n, k)>
#a = affine_map<(m, t, n, k) -> (m, k)>
#y = affine_map<(m, t, n, k) -> (m, t, n)>

// Nibbles are masked out of the stored bytes; a streamed weight is fetched ahead, but where the processor does that as
// well. AVX2 has two registers of rows.
// CHECK-LABEL: @q4_1_one_token
// V4-NOT: llvm.intr.prefetch
// V4: scf.for {{.*}} iter_args(%{{.*}}) -> (vector<16xf32>)
// V3: scf.for {{.*}} iter_args(%{{.*}}) -> (vector<8xf32>, vector<8xf32>)
// V3: llvm.intr.prefetch
// V4-COUNT-4: "llvm.x86.avx512.vpdpbusd.512"
// V3-COUNT-8: "llvm.x86.avx2.pmadd.ub.sw"
// CHECK: arith.shrui
// V4-COUNT-4: "llvm.x86.avx512.vpdpbusd.512"
// V3-COUNT-8: "llvm.x86.avx2.pmadd.ub.sw"
// V3-NOT: avx512
// CHECK: math.fma
// CHECK-NOT: tile.block_dot
// CHECK: return
// NEON has four registers of rows, and sums in 32 bits.
// NEON-LABEL: @q4_1_one_token
// NEON: scf.for {{.*}} -> (vector<4xf32>, vector<4xf32>, vector<4xf32>, vector<4xf32>)
// NEON-COUNT-32: "llvm.aarch64.neon.sdot.v4i32.v16i8"(%{{.*}}) : (vector<4xi32>, vector<16xi8>, vector<16xi8>) -> vector<4xi32>
// NEON-NOT: x86
// NEON: return
// AVX-VNNI has AVX2's registers and sums in 32 bits.
// VNNI-LABEL: @q4_1_one_token
// VNNI: scf.for {{.*}} iter_args(%{{.*}}) -> (vector<8xf32>, vector<8xf32>)
// VNNI-COUNT-16: "llvm.x86.avx512.vpdpbusd.256"(%{{.*}}) : (vector<8xi32>, vector<32xi8>, vector<32xi8>) -> vector<8xi32>
// VNNI-NOT: pmadd
// VNNI: return
func.func @q4_1_one_token(%w: memref<?x?x!transformer.block<q4_1, rows = 16>>, %a: memref<?x?x!transformer.activation<q8>>, %y: memref<?x1x?xvector<16xf32>>) {
  linalg.generic {indexing_maps = [#w, #a, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %a : memref<?x?x!transformer.block<q4_1, rows = 16>>, memref<?x?x!transformer.activation<q8>>)
      outs(%y : memref<?x1x?xvector<16xf32>>) {
  ^bb0(%b: !transformer.block<q4_1, rows = 16>, %x: !transformer.activation<q8>, %sum: vector<16xf32>):
    %t = linalg.index 1 : index
    %0 = tile.block_dot %b, %x[%t], %sum : !transformer.block<q4_1, rows = 16>, !transformer.activation<q8>, vector<16xf32>
    linalg.yield %0 : vector<16xf32>
  }
  return
}

// sdot takes codes as signed bytes: those of 8 bits have their highest turned over, which makes them the values.
// NEON-LABEL: @q8_0_one_token
// NEON: %[[TOP:.*]] = arith.constant dense<-2139062144> : vector<4xi32>
// NEON: %[[MOVED:.*]] = arith.xori %{{.*}}, %[[TOP]] : vector<4xi32>
// NEON: %[[CODES:.*]] = vector.bitcast %[[MOVED]]
// NEON: sdot.v4i32.v16i8"(%{{.*}}, %[[CODES]], %{{.*}}) :
// NEON-COUNT-31: sdot.v4i32.v16i8"
// NEON-NOT: sdot.v4i32.v16i8"
// NEON: return

// The products of 8-bit codes exceed 16 bits: AVX2 takes what a code is above or below 128, as a magnitude and a sign
// that the activations get; two such products fit. AVX-512 takes the codes: 128 times the sum of the activations' codes
// comes off, as integers.
// CHECK-LABEL: @q8_0_one_token
// V4-COUNT-8: "llvm.x86.avx512.vpdpbusd.512"
// V4: %[[SEVEN:.*]] = arith.constant dense<7> : vector<16xi32>
// V4: %[[EXCESS:.*]] = arith.shli %{{.*}}, %[[SEVEN]]
// V4: arith.subi %{{.*}}, %[[EXCESS]]
// V4: arith.sitofp
// V3: %[[LESS:.*]] = arith.xori
// V3: %[[CODES:.*]] = vector.bitcast %[[LESS]] : vector<8xi32> to vector<32xi8>
// V3: %[[SIGNED:.*]] = llvm.call_intrinsic "llvm.x86.avx2.psign.b"(%{{.*}}, %[[CODES]])
// V3: %[[MAGNITUDE:.*]] = math.absi %[[CODES]] : vector<32xi8>
// V3: "llvm.x86.avx2.pmadd.ub.sw"(%[[MAGNITUDE]], %[[SIGNED]])
// V3-COUNT-15: "llvm.x86.avx2.pmadd.ub.sw"
// V3-NOT: "llvm.x86.avx2.pmadd.ub.sw"
// V3-COUNT-2: "llvm.x86.avx2.pmadd.wd"
// CHECK: math.fma
// CHECK-NOT: tile.block_dot
// CHECK: return
func.func @q8_0_one_token(%w: memref<?x?x!transformer.block<q8_0, rows = 16>>, %a: memref<?x?x!transformer.activation<q8>>, %y: memref<?x1x?xvector<16xf32>>) {
  linalg.generic {indexing_maps = [#w, #a, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %a : memref<?x?x!transformer.block<q8_0, rows = 16>>, memref<?x?x!transformer.activation<q8>>)
      outs(%y : memref<?x1x?xvector<16xf32>>) {
  ^bb0(%b: !transformer.block<q8_0, rows = 16>, %x: !transformer.activation<q8>, %sum: vector<16xf32>):
    %t = linalg.index 1 : index
    %0 = tile.block_dot %b, %x[%t], %sum : !transformer.block<q8_0, rows = 16>, !transformer.activation<q8>, vector<16xf32>
    linalg.yield %0 : vector<16xf32>
  }
  return
}

// A scale for 16 columns: two sums for each token, which are one before they are a float. AVX2 multiplies pairs by the
// scale, twice for the 4 quads of a group (and for each of its two registers of rows), and adds nothing to do so.
// CHECK-LABEL: @q6_k_grouped_scales
// CHECK: scf.for
// CHECK: scf.for
// V4-COUNT-4: vpdpbusd
// V4: arith.muli
// V4-COUNT-4: vpdpbusd
// V4: arith.muli
// V3: %[[SCALE:.*]] = arith.ori %{{.*}} : vector<8xi32>
// V3: %[[PAIRS:.*]] = vector.bitcast %[[SCALE]] : vector<8xi32> to vector<16xi16>
// V3: "llvm.x86.avx2.pmadd.wd"(%{{.*}}, %[[PAIRS]])
// V3-COUNT-7: pmadd.wd
// CHECK: arith.addi
// CHECK: arith.sitofp
// V4-NOT: arith.sitofp
// CHECK-NOT: tile.block_dot
// CHECK: return
func.func @q6_k_grouped_scales(%w: memref<?x?x!transformer.block<q6_k, rows = 16>>, %a: memref<?x?x!transformer.activation<q8, columns = 256>>, %y: memref<?x1x?xvector<16xf32>>) {
  linalg.generic {indexing_maps = [#w, #a, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %a : memref<?x?x!transformer.block<q6_k, rows = 16>>, memref<?x?x!transformer.activation<q8, columns = 256>>)
      outs(%y : memref<?x1x?xvector<16xf32>>) {
  ^bb0(%b: !transformer.block<q6_k, rows = 16>, %x: !transformer.activation<q8, columns = 256>, %sum: vector<16xf32>):
    %t = linalg.index 1 : index
    %0 = tile.block_dot %b, %x[%t], %sum : !transformer.block<q6_k, rows = 16>, !transformer.activation<q8, columns = 256>, vector<16xf32>
    linalg.yield %0 : vector<16xf32>
  }
  return
}

// Two quads have high codes, whose weights are read from the block by the quads' numbers.
// CHECK-LABEL: @q4_1_outliers
// CHECK-NOT: llvm.store
// V4-COUNT-8: vpdpbusd
// V3-COUNT-16: pmadd.ub.sw
// CHECK: %[[PLACE:.*]] = arith.index_cast %{{.*}} : i32 to index
// CHECK: %[[QUAD:.*]] = arith.divui %[[PLACE]], %c64
// CHECK: %[[VECTOR:.*]] = arith.andi %[[QUAD]], %c3
// CHECK: arith.muli %[[VECTOR]], %c64
// CHECK: llvm.load
// CHECK: arith.divui %[[QUAD]], %c4
// CHECK: arith.shrui
// V4-COUNT-2: vpdpbusd
// V3-COUNT-2: pmadd.ub.sw
// CHECK: arith.shli
// CHECK: arith.sitofp
// CHECK-NOT: tile.block_dot
// CHECK: return
func.func @q4_1_outliers(%w: memref<?x?x!transformer.block<q4_1, rows = 16>>, %a: memref<?x?x!transformer.activation<q8o2>>, %y: memref<?x1x?xvector<16xf32>>) {
  linalg.generic {indexing_maps = [#w, #a, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %a : memref<?x?x!transformer.block<q4_1, rows = 16>>, memref<?x?x!transformer.activation<q8o2>>)
      outs(%y : memref<?x1x?xvector<16xf32>>) {
  ^bb0(%b: !transformer.block<q4_1, rows = 16>, %x: !transformer.activation<q8o2>, %sum: vector<16xf32>):
    %t = linalg.index 1 : index
    %0 = tile.block_dot %b, %x[%t], %sum : !transformer.block<q4_1, rows = 16>, !transformer.activation<q8o2>, vector<16xf32>
    linalg.yield %0 : vector<16xf32>
  }
  return
}

// For several tokens unpacked weights are kept where a quad's number finds them. AVX-512 has the sums of two tiles in
// registers, or of one; a weight is read once for both, ahead of its use. AVX2 has them in memory, two registers of rows
// and four tokens at a time.
// CHECK-LABEL: @q4_1_outliers_of_four
// V4: scf.if
// V4: scf.for {{.*}} iter_args(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) -> (vector<16xf32>
// V4: llvm.intr.prefetch
// V3-NOT: iter_args
// V3: llvm.intr.prefetch
// CHECK-COUNT-8: llvm.store {{.*}} : vector<16xi32>
// V4: %[[PLACE:.*]] = arith.index_cast %{{.*}} : i32 to index
// V4: %[[INDEX:.*]] = arith.index_cast %[[PLACE]] : index to i64
// V4: llvm.getelementptr %{{.*}}[%[[INDEX]]]
// V4-COUNT-2: vpdpbusd
// V4: arith.shli
// V4-COUNT-8: vpdpbusd
// V4: arith.sitofp
// V4-COUNT-70: vpdpbusd
// V4-NOT: vpdpbusd
// V4: else
// V4: scf.for {{.*}} iter_args(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) -> (vector<16xf32>
// V4-NOT: llvm.intr.prefetch
// V4-COUNT-40: vpdpbusd
// V4-NOT: vpdpbusd
// V3: scf.for %{{.*}} = %{{.*}} to %c1
// V3-COUNT-64: pmadd.ub.sw
// V3: %[[PLACE:.*]] = arith.index_cast %{{.*}} : i32 to index
// V3: %[[INDEX:.*]] = arith.index_cast %[[PLACE]] : index to i64
// V3: llvm.getelementptr %{{.*}}[%[[INDEX]]]
// V3-COUNT-16: pmadd.ub.sw
// V3-COUNT-2: llvm.store %{{.*}} : vector<8xf32>
// V3-NOT: pmadd.ub.sw
// CHECK-NOT: tile.block_dot
// CHECK: return
func.func @q4_1_outliers_of_four(%w: memref<?x?x!transformer.block<q4_1, rows = 16>>, %a: memref<?x?x!transformer.activation<q8o2, tokens = 4>>, %y: memref<?x4x?xvector<16xf32>>) {
  linalg.generic {indexing_maps = [#w, #a, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %a : memref<?x?x!transformer.block<q4_1, rows = 16>>, memref<?x?x!transformer.activation<q8o2, tokens = 4>>)
      outs(%y : memref<?x4x?xvector<16xf32>>) {
  ^bb0(%b: !transformer.block<q4_1, rows = 16>, %x: !transformer.activation<q8o2, tokens = 4>, %sum: vector<16xf32>):
    %t = linalg.index 1 : index
    %0 = tile.block_dot %b, %x[%t], %sum : !transformer.block<q4_1, rows = 16>, !transformer.activation<q8o2, tokens = 4>, vector<16xf32>
    linalg.yield %0 : vector<16xf32>
  }
  return
}

// Codes are looked up.
// CHECK-LABEL: @iq4_nl_table
// V4: "llvm.x86.avx512.pshuf.b.512"
// V3: "llvm.x86.avx2.pshuf.b"
// CHECK: math.fma
// CHECK-NOT: tile.block_dot
// CHECK: return
func.func @iq4_nl_table(%w: memref<?x?x!transformer.block<iq4_nl, rows = 16>>, %a: memref<?x?x!transformer.activation<q8>>, %y: memref<?x1x?xvector<16xf32>>) {
  linalg.generic {indexing_maps = [#w, #a, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %a : memref<?x?x!transformer.block<iq4_nl, rows = 16>>, memref<?x?x!transformer.activation<q8>>)
      outs(%y : memref<?x1x?xvector<16xf32>>) {
  ^bb0(%b: !transformer.block<iq4_nl, rows = 16>, %x: !transformer.activation<q8>, %sum: vector<16xf32>):
    %t = linalg.index 1 : index
    %0 = tile.block_dot %b, %x[%t], %sum : !transformer.block<iq4_nl, rows = 16>, !transformer.activation<q8>, vector<16xf32>
    linalg.yield %0 : vector<16xf32>
  }
  return
}

// Float weights take float activations, a column at a time, and no integer product.
// CHECK-LABEL: @bf16_float_activations
// V4-NOT: vpdpbusd
// V3-NOT: pmadd
// CHECK: arith.shli
// CHECK-COUNT-32: math.fma
// CHECK-NOT: tile.block_dot
// CHECK: return
func.func @bf16_float_activations(%w: memref<?x?x!transformer.block<bf16, rows = 16>>, %a: memref<?x?x!transformer.activation<f32>>, %y: memref<?x1x?xvector<16xf32>>) {
  linalg.generic {indexing_maps = [#w, #a, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %a : memref<?x?x!transformer.block<bf16, rows = 16>>, memref<?x?x!transformer.activation<f32>>)
      outs(%y : memref<?x1x?xvector<16xf32>>) {
  ^bb0(%b: !transformer.block<bf16, rows = 16>, %x: !transformer.activation<f32>, %sum: vector<16xf32>):
    %t = linalg.index 1 : index
    %0 = tile.block_dot %b, %x[%t], %sum : !transformer.block<bf16, rows = 16>, !transformer.activation<f32>, vector<16xf32>
    linalg.yield %0 : vector<16xf32>
  }
  return
}

// A weight is unpacked once for all tokens of up to four tiles, whose accumulators lie in memory, and fetched ahead. AVX2 has the weight
// there, too: of every quad its two registers of rows are multiplied with four tokens, whose pairs are sums in registers.
// CHECK-LABEL: @sixteen_tokens
// CHECK: llvm.alloca {{.*}}array<4096 x i8>
// CHECK-COUNT-5: llvm.intr.prefetch
// CHECK: arith.shrui
// V4: scf.for
// V4: scf.for %{{.*}} = %{{.*}} to %c16
// V4: llvm.load %{{.*}} -> vector<16xf32>
// V4-COUNT-8: vpdpbusd
// V4: llvm.store %{{.*}} : vector<16xf32>
// V4-NOT: vpdpbusd
// V3-COUNT-8: llvm.store %{{.*}} : vector<16xi32>
// V3: scf.for
// V3: scf.for %{{.*}} = %{{.*}} to %c4
// V3: llvm.inline_asm
// V3-COUNT-2: llvm.load %{{.*}} -> vector<32xi8>
// V3: llvm.load %{{.*}} -> i32
// V3-COUNT-2: pmadd.ub.sw
// V3: llvm.load %{{.*}} -> i32
// V3-COUNT-62: pmadd.ub.sw
// V3-COUNT-8: pmadd.wd
// V3-COUNT-8: llvm.store %{{.*}} : vector<8xf32>
// V3-NOT: pmadd.ub.sw
// CHECK-NOT: tile.block_dot
// CHECK: return
func.func @sixteen_tokens(%w: memref<?x?x!transformer.block<q4_0, rows = 16>>, %a: memref<?x?x!transformer.activation<q8, tokens = 16>>, %y: memref<?x16x?xvector<16xf32>>) {
  linalg.generic {indexing_maps = [#w, #a, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %a : memref<?x?x!transformer.block<q4_0, rows = 16>>, memref<?x?x!transformer.activation<q8, tokens = 16>>)
      outs(%y : memref<?x16x?xvector<16xf32>>) {
  ^bb0(%b: !transformer.block<q4_0, rows = 16>, %x: !transformer.activation<q8, tokens = 16>, %sum: vector<16xf32>):
    %t = linalg.index 1 : index
    %0 = tile.block_dot %b, %x[%t], %sum : !transformer.block<q4_0, rows = 16>, !transformer.activation<q8, tokens = 16>, vector<16xf32>
    linalg.yield %0 : vector<16xf32>
  }
  return
}

// What multiplies no blocks is another pass's.
// CHECK-LABEL: @sum_of_lanes
// CHECK: linalg.generic
#id = affine_map<(i) -> (i)>
func.func @sum_of_lanes(%x: memref<?xvector<16xf32>>) {
  linalg.generic {indexing_maps = [#id], iterator_types = ["parallel"]} outs(%x : memref<?xvector<16xf32>>) {
  ^bb0(%a: vector<16xf32>):
    %0 = arith.addf %a, %a : vector<16xf32>
    linalg.yield %0 : vector<16xf32>
  }
  return
}
