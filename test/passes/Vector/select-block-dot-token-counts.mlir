// RUN: stepdown-opt %s -select-block-dot=target=x86-64-v3 | FileCheck %s --check-prefixes=CHECK,V3
// RUN: stepdown-opt %s -select-block-dot=target=x86-64-v3-vnni | FileCheck %s --check-prefixes=CHECK,VNNI
// RUN: stepdown-opt %s -select-block-dot=target=x86-64-v4-vnni | FileCheck %s --check-prefixes=CHECK,V4
// RUN: stepdown-opt %s -select-block-dot=target=aarch64-dotprod | FileCheck %s --check-prefixes=CHECK,NEON
// Tiles of as many tokens as no bucket has: every token gets its products. Where registers hold a part of the 16 rows,
// tokens pass once for each part, one at a time. AVX-512 has the sums of up to eight tokens in registers, of two tiles and
// of one.

#w = affine_map<(m, t, n, k) -> (n, k)>
#a = affine_map<(m, t, n, k) -> (m, k)>
#y = affine_map<(m, t, n, k) -> (m, t, n)>

// CHECK-LABEL: @two_tokens(
// V3: llvm.intr.prefetch
// V3: scf.for %{{.*}} = %{{.*}} to %c2{{(_[0-9]+)?}} step
// V3-NOT: scf.for
// V3: llvm.load %{{.*}} -> vector<8xf32>
// V3-COUNT-8: pmadd.ub.sw
// V3: llvm.store %{{.*}} : vector<8xf32>
// V3: scf.for %{{.*}} = %{{.*}} to %c2{{(_[0-9]+)?}} step
// V3-NOT: scf.for
// V3: llvm.load %{{.*}} -> vector<8xf32>
// V3-COUNT-8: pmadd.ub.sw
// V3: llvm.store %{{.*}} : vector<8xf32>
// V3-NOT: pmadd.ub.sw
// VNNI: llvm.intr.prefetch
// VNNI: scf.for %{{.*}} = %{{.*}} to %c2{{(_[0-9]+)?}} step
// VNNI-NOT: scf.for
// VNNI: llvm.load %{{.*}} -> vector<8xf32>
// VNNI-COUNT-8: vpdpbusd.256
// VNNI: llvm.store %{{.*}} : vector<8xf32>
// VNNI: scf.for %{{.*}} = %{{.*}} to %c2{{(_[0-9]+)?}} step
// VNNI-NOT: scf.for
// VNNI: llvm.load %{{.*}} -> vector<8xf32>
// VNNI-COUNT-8: vpdpbusd.256
// VNNI: llvm.store %{{.*}} : vector<8xf32>
// VNNI-NOT: vpdpbusd.256
// NEON: llvm.intr.prefetch
// NEON: scf.for %{{.*}} = %{{.*}} to %c2{{(_[0-9]+)?}} step
// NEON-NOT: scf.for
// NEON: llvm.load %{{.*}} -> vector<4xf32>
// NEON-COUNT-8: sdot
// NEON: llvm.store %{{.*}} : vector<4xf32>
// NEON: scf.for %{{.*}} = %{{.*}} to %c2{{(_[0-9]+)?}} step
// NEON-NOT: scf.for
// NEON: llvm.load %{{.*}} -> vector<4xf32>
// NEON-COUNT-8: sdot
// NEON: llvm.store %{{.*}} : vector<4xf32>
// NEON: scf.for %{{.*}} = %{{.*}} to %c2{{(_[0-9]+)?}} step
// NEON-NOT: scf.for
// NEON: llvm.load %{{.*}} -> vector<4xf32>
// NEON-COUNT-8: sdot
// NEON: llvm.store %{{.*}} : vector<4xf32>
// NEON: scf.for %{{.*}} = %{{.*}} to %c2{{(_[0-9]+)?}} step
// NEON-NOT: scf.for
// NEON: llvm.load %{{.*}} -> vector<4xf32>
// NEON-COUNT-8: sdot
// NEON: llvm.store %{{.*}} : vector<4xf32>
// NEON-NOT: sdot
// V4-COUNT-32: vpdpbusd.512
// V4: else
// V4-COUNT-16: vpdpbusd.512
// V4-NOT: vpdpbusd.512
// CHECK: return
func.func @two_tokens(%w: memref<?x?x!transformer.block<q4_1, rows = 16>>, %a: memref<?x?x!transformer.activation<q8, tokens = 2>>, %y: memref<?x2x?xvector<16xf32>>) {
  linalg.generic {indexing_maps = [#w, #a, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %a : memref<?x?x!transformer.block<q4_1, rows = 16>>, memref<?x?x!transformer.activation<q8, tokens = 2>>)
      outs(%y : memref<?x2x?xvector<16xf32>>) {
  ^bb0(%b: !transformer.block<q4_1, rows = 16>, %x: !transformer.activation<q8, tokens = 2>, %sum: vector<16xf32>):
    %t = linalg.index 1 : index
    %0 = tile.block_dot %b, %x[%t], %sum : !transformer.block<q4_1, rows = 16>, !transformer.activation<q8, tokens = 2>, vector<16xf32>
    linalg.yield %0 : vector<16xf32>
  }
  return
}

// CHECK-LABEL: @three_tokens(
// V3: llvm.intr.prefetch
// V3: scf.for %{{.*}} = %{{.*}} to %c3{{(_[0-9]+)?}} step
// V3-NOT: scf.for
// V3: llvm.load %{{.*}} -> vector<8xf32>
// V3-COUNT-8: pmadd.ub.sw
// V3: llvm.store %{{.*}} : vector<8xf32>
// V3: scf.for %{{.*}} = %{{.*}} to %c3{{(_[0-9]+)?}} step
// V3-NOT: scf.for
// V3: llvm.load %{{.*}} -> vector<8xf32>
// V3-COUNT-8: pmadd.ub.sw
// V3: llvm.store %{{.*}} : vector<8xf32>
// V3-NOT: pmadd.ub.sw
// VNNI: llvm.intr.prefetch
// VNNI: scf.for %{{.*}} = %{{.*}} to %c3{{(_[0-9]+)?}} step
// VNNI-NOT: scf.for
// VNNI: llvm.load %{{.*}} -> vector<8xf32>
// VNNI-COUNT-8: vpdpbusd.256
// VNNI: llvm.store %{{.*}} : vector<8xf32>
// VNNI: scf.for %{{.*}} = %{{.*}} to %c3{{(_[0-9]+)?}} step
// VNNI-NOT: scf.for
// VNNI: llvm.load %{{.*}} -> vector<8xf32>
// VNNI-COUNT-8: vpdpbusd.256
// VNNI: llvm.store %{{.*}} : vector<8xf32>
// VNNI-NOT: vpdpbusd.256
// NEON: llvm.intr.prefetch
// NEON: scf.for %{{.*}} = %{{.*}} to %c3{{(_[0-9]+)?}} step
// NEON-NOT: scf.for
// NEON: llvm.load %{{.*}} -> vector<4xf32>
// NEON-COUNT-8: sdot
// NEON: llvm.store %{{.*}} : vector<4xf32>
// NEON: scf.for %{{.*}} = %{{.*}} to %c3{{(_[0-9]+)?}} step
// NEON-NOT: scf.for
// NEON: llvm.load %{{.*}} -> vector<4xf32>
// NEON-COUNT-8: sdot
// NEON: llvm.store %{{.*}} : vector<4xf32>
// NEON: scf.for %{{.*}} = %{{.*}} to %c3{{(_[0-9]+)?}} step
// NEON-NOT: scf.for
// NEON: llvm.load %{{.*}} -> vector<4xf32>
// NEON-COUNT-8: sdot
// NEON: llvm.store %{{.*}} : vector<4xf32>
// NEON: scf.for %{{.*}} = %{{.*}} to %c3{{(_[0-9]+)?}} step
// NEON-NOT: scf.for
// NEON: llvm.load %{{.*}} -> vector<4xf32>
// NEON-COUNT-8: sdot
// NEON: llvm.store %{{.*}} : vector<4xf32>
// NEON-NOT: sdot
// V4-COUNT-48: vpdpbusd.512
// V4: else
// V4-COUNT-24: vpdpbusd.512
// V4-NOT: vpdpbusd.512
// CHECK: return
func.func @three_tokens(%w: memref<?x?x!transformer.block<q4_1, rows = 16>>, %a: memref<?x?x!transformer.activation<q8, tokens = 3>>, %y: memref<?x3x?xvector<16xf32>>) {
  linalg.generic {indexing_maps = [#w, #a, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %a : memref<?x?x!transformer.block<q4_1, rows = 16>>, memref<?x?x!transformer.activation<q8, tokens = 3>>)
      outs(%y : memref<?x3x?xvector<16xf32>>) {
  ^bb0(%b: !transformer.block<q4_1, rows = 16>, %x: !transformer.activation<q8, tokens = 3>, %sum: vector<16xf32>):
    %t = linalg.index 1 : index
    %0 = tile.block_dot %b, %x[%t], %sum : !transformer.block<q4_1, rows = 16>, !transformer.activation<q8, tokens = 3>, vector<16xf32>
    linalg.yield %0 : vector<16xf32>
  }
  return
}

// CHECK-LABEL: @five_tokens(
// V3: llvm.intr.prefetch
// V3: scf.for %{{.*}} = %{{.*}} to %c5{{(_[0-9]+)?}} step
// V3-NOT: scf.for
// V3: llvm.load %{{.*}} -> vector<8xf32>
// V3-COUNT-8: pmadd.ub.sw
// V3: llvm.store %{{.*}} : vector<8xf32>
// V3: scf.for %{{.*}} = %{{.*}} to %c5{{(_[0-9]+)?}} step
// V3-NOT: scf.for
// V3: llvm.load %{{.*}} -> vector<8xf32>
// V3-COUNT-8: pmadd.ub.sw
// V3: llvm.store %{{.*}} : vector<8xf32>
// V3-NOT: pmadd.ub.sw
// VNNI: llvm.intr.prefetch
// VNNI: scf.for %{{.*}} = %{{.*}} to %c5{{(_[0-9]+)?}} step
// VNNI-NOT: scf.for
// VNNI: llvm.load %{{.*}} -> vector<8xf32>
// VNNI-COUNT-8: vpdpbusd.256
// VNNI: llvm.store %{{.*}} : vector<8xf32>
// VNNI: scf.for %{{.*}} = %{{.*}} to %c5{{(_[0-9]+)?}} step
// VNNI-NOT: scf.for
// VNNI: llvm.load %{{.*}} -> vector<8xf32>
// VNNI-COUNT-8: vpdpbusd.256
// VNNI: llvm.store %{{.*}} : vector<8xf32>
// VNNI-NOT: vpdpbusd.256
// NEON: llvm.intr.prefetch
// NEON: scf.for %{{.*}} = %{{.*}} to %c5{{(_[0-9]+)?}} step
// NEON-NOT: scf.for
// NEON: llvm.load %{{.*}} -> vector<4xf32>
// NEON-COUNT-8: sdot
// NEON: llvm.store %{{.*}} : vector<4xf32>
// NEON: scf.for %{{.*}} = %{{.*}} to %c5{{(_[0-9]+)?}} step
// NEON-NOT: scf.for
// NEON: llvm.load %{{.*}} -> vector<4xf32>
// NEON-COUNT-8: sdot
// NEON: llvm.store %{{.*}} : vector<4xf32>
// NEON: scf.for %{{.*}} = %{{.*}} to %c5{{(_[0-9]+)?}} step
// NEON-NOT: scf.for
// NEON: llvm.load %{{.*}} -> vector<4xf32>
// NEON-COUNT-8: sdot
// NEON: llvm.store %{{.*}} : vector<4xf32>
// NEON: scf.for %{{.*}} = %{{.*}} to %c5{{(_[0-9]+)?}} step
// NEON-NOT: scf.for
// NEON: llvm.load %{{.*}} -> vector<4xf32>
// NEON-COUNT-8: sdot
// NEON: llvm.store %{{.*}} : vector<4xf32>
// NEON-NOT: sdot
// V4-COUNT-80: vpdpbusd.512
// V4: else
// V4-COUNT-40: vpdpbusd.512
// V4-NOT: vpdpbusd.512
// CHECK: return
func.func @five_tokens(%w: memref<?x?x!transformer.block<q4_1, rows = 16>>, %a: memref<?x?x!transformer.activation<q8, tokens = 5>>, %y: memref<?x5x?xvector<16xf32>>) {
  linalg.generic {indexing_maps = [#w, #a, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %a : memref<?x?x!transformer.block<q4_1, rows = 16>>, memref<?x?x!transformer.activation<q8, tokens = 5>>)
      outs(%y : memref<?x5x?xvector<16xf32>>) {
  ^bb0(%b: !transformer.block<q4_1, rows = 16>, %x: !transformer.activation<q8, tokens = 5>, %sum: vector<16xf32>):
    %t = linalg.index 1 : index
    %0 = tile.block_dot %b, %x[%t], %sum : !transformer.block<q4_1, rows = 16>, !transformer.activation<q8, tokens = 5>, vector<16xf32>
    linalg.yield %0 : vector<16xf32>
  }
  return
}

// CHECK-LABEL: @seven_tokens(
// V3: llvm.intr.prefetch
// V3: scf.for %{{.*}} = %{{.*}} to %c7{{(_[0-9]+)?}} step
// V3-NOT: scf.for
// V3: llvm.load %{{.*}} -> vector<8xf32>
// V3-COUNT-8: pmadd.ub.sw
// V3: llvm.store %{{.*}} : vector<8xf32>
// V3: scf.for %{{.*}} = %{{.*}} to %c7{{(_[0-9]+)?}} step
// V3-NOT: scf.for
// V3: llvm.load %{{.*}} -> vector<8xf32>
// V3-COUNT-8: pmadd.ub.sw
// V3: llvm.store %{{.*}} : vector<8xf32>
// V3-NOT: pmadd.ub.sw
// VNNI: llvm.intr.prefetch
// VNNI: scf.for %{{.*}} = %{{.*}} to %c7{{(_[0-9]+)?}} step
// VNNI-NOT: scf.for
// VNNI: llvm.load %{{.*}} -> vector<8xf32>
// VNNI-COUNT-8: vpdpbusd.256
// VNNI: llvm.store %{{.*}} : vector<8xf32>
// VNNI: scf.for %{{.*}} = %{{.*}} to %c7{{(_[0-9]+)?}} step
// VNNI-NOT: scf.for
// VNNI: llvm.load %{{.*}} -> vector<8xf32>
// VNNI-COUNT-8: vpdpbusd.256
// VNNI: llvm.store %{{.*}} : vector<8xf32>
// VNNI-NOT: vpdpbusd.256
// NEON: llvm.intr.prefetch
// NEON: scf.for %{{.*}} = %{{.*}} to %c7{{(_[0-9]+)?}} step
// NEON-NOT: scf.for
// NEON: llvm.load %{{.*}} -> vector<4xf32>
// NEON-COUNT-8: sdot
// NEON: llvm.store %{{.*}} : vector<4xf32>
// NEON: scf.for %{{.*}} = %{{.*}} to %c7{{(_[0-9]+)?}} step
// NEON-NOT: scf.for
// NEON: llvm.load %{{.*}} -> vector<4xf32>
// NEON-COUNT-8: sdot
// NEON: llvm.store %{{.*}} : vector<4xf32>
// NEON: scf.for %{{.*}} = %{{.*}} to %c7{{(_[0-9]+)?}} step
// NEON-NOT: scf.for
// NEON: llvm.load %{{.*}} -> vector<4xf32>
// NEON-COUNT-8: sdot
// NEON: llvm.store %{{.*}} : vector<4xf32>
// NEON: scf.for %{{.*}} = %{{.*}} to %c7{{(_[0-9]+)?}} step
// NEON-NOT: scf.for
// NEON: llvm.load %{{.*}} -> vector<4xf32>
// NEON-COUNT-8: sdot
// NEON: llvm.store %{{.*}} : vector<4xf32>
// NEON-NOT: sdot
// V4-COUNT-112: vpdpbusd.512
// V4: else
// V4-COUNT-56: vpdpbusd.512
// V4-NOT: vpdpbusd.512
// CHECK: return
func.func @seven_tokens(%w: memref<?x?x!transformer.block<q4_1, rows = 16>>, %a: memref<?x?x!transformer.activation<q8, tokens = 7>>, %y: memref<?x7x?xvector<16xf32>>) {
  linalg.generic {indexing_maps = [#w, #a, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %a : memref<?x?x!transformer.block<q4_1, rows = 16>>, memref<?x?x!transformer.activation<q8, tokens = 7>>)
      outs(%y : memref<?x7x?xvector<16xf32>>) {
  ^bb0(%b: !transformer.block<q4_1, rows = 16>, %x: !transformer.activation<q8, tokens = 7>, %sum: vector<16xf32>):
    %t = linalg.index 1 : index
    %0 = tile.block_dot %b, %x[%t], %sum : !transformer.block<q4_1, rows = 16>, !transformer.activation<q8, tokens = 7>, vector<16xf32>
    linalg.yield %0 : vector<16xf32>
  }
  return
}

// CHECK-LABEL: @twelve_tokens(
// V3: llvm.intr.prefetch
// V3: scf.for %{{.*}} = %{{.*}} to %c12{{(_[0-9]+)?}} step
// V3-NOT: scf.for
// V3: llvm.load %{{.*}} -> vector<8xf32>
// V3-COUNT-16: pmadd.ub.sw
// V3: llvm.store %{{.*}} : vector<8xf32>
// V3: scf.for %{{.*}} = %{{.*}} to %c12{{(_[0-9]+)?}} step
// V3-NOT: scf.for
// V3: llvm.load %{{.*}} -> vector<8xf32>
// V3-COUNT-16: pmadd.ub.sw
// V3: llvm.store %{{.*}} : vector<8xf32>
// V3-NOT: pmadd.ub.sw
// VNNI: llvm.intr.prefetch
// VNNI: scf.for %{{.*}} = %{{.*}} to %c12{{(_[0-9]+)?}} step
// VNNI-NOT: scf.for
// VNNI: llvm.load %{{.*}} -> vector<8xf32>
// VNNI-COUNT-16: vpdpbusd.256
// VNNI: llvm.store %{{.*}} : vector<8xf32>
// VNNI: scf.for %{{.*}} = %{{.*}} to %c12{{(_[0-9]+)?}} step
// VNNI-NOT: scf.for
// VNNI: llvm.load %{{.*}} -> vector<8xf32>
// VNNI-COUNT-16: vpdpbusd.256
// VNNI: llvm.store %{{.*}} : vector<8xf32>
// VNNI-NOT: vpdpbusd.256
// NEON: llvm.intr.prefetch
// NEON: scf.for %{{.*}} = %{{.*}} to %c12{{(_[0-9]+)?}} step
// NEON-NOT: scf.for
// NEON: llvm.load %{{.*}} -> vector<4xf32>
// NEON-COUNT-16: sdot
// NEON: llvm.store %{{.*}} : vector<4xf32>
// NEON: scf.for %{{.*}} = %{{.*}} to %c12{{(_[0-9]+)?}} step
// NEON-NOT: scf.for
// NEON: llvm.load %{{.*}} -> vector<4xf32>
// NEON-COUNT-16: sdot
// NEON: llvm.store %{{.*}} : vector<4xf32>
// NEON: scf.for %{{.*}} = %{{.*}} to %c12{{(_[0-9]+)?}} step
// NEON-NOT: scf.for
// NEON: llvm.load %{{.*}} -> vector<4xf32>
// NEON-COUNT-16: sdot
// NEON: llvm.store %{{.*}} : vector<4xf32>
// NEON: scf.for %{{.*}} = %{{.*}} to %c12{{(_[0-9]+)?}} step
// NEON-NOT: scf.for
// NEON: llvm.load %{{.*}} -> vector<4xf32>
// NEON-COUNT-16: sdot
// NEON: llvm.store %{{.*}} : vector<4xf32>
// NEON-NOT: sdot
// V4: llvm.intr.prefetch
// V4: scf.for %{{.*}} = %{{.*}} to %c12{{(_[0-9]+)?}} step
// V4-NOT: scf.for
// V4: llvm.load %{{.*}} -> vector<16xf32>
// V4-COUNT-16: vpdpbusd.512
// V4: llvm.store %{{.*}} : vector<16xf32>
// V4-NOT: vpdpbusd.512
// CHECK: return
func.func @twelve_tokens(%w: memref<?x?x!transformer.block<q8_0, rows = 16>>, %a: memref<?x?x!transformer.activation<q8x2, tokens = 12>>, %y: memref<?x12x?xvector<16xf32>>) {
  linalg.generic {indexing_maps = [#w, #a, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %a : memref<?x?x!transformer.block<q8_0, rows = 16>>, memref<?x?x!transformer.activation<q8x2, tokens = 12>>)
      outs(%y : memref<?x12x?xvector<16xf32>>) {
  ^bb0(%b: !transformer.block<q8_0, rows = 16>, %x: !transformer.activation<q8x2, tokens = 12>, %sum: vector<16xf32>):
    %t = linalg.index 1 : index
    %0 = tile.block_dot %b, %x[%t], %sum : !transformer.block<q8_0, rows = 16>, !transformer.activation<q8x2, tokens = 12>, vector<16xf32>
    linalg.yield %0 : vector<16xf32>
  }
  return
}

// CHECK-LABEL: @seventeen_tokens(
// V3: llvm.intr.prefetch
// V3: scf.for %{{.*}} = %{{.*}} to %c17{{(_[0-9]+)?}} step
// V3-NOT: scf.for
// V3: llvm.load %{{.*}} -> vector<8xf32>
// V3-COUNT-8: pmadd.ub.sw
// V3: llvm.store %{{.*}} : vector<8xf32>
// V3: scf.for %{{.*}} = %{{.*}} to %c17{{(_[0-9]+)?}} step
// V3-NOT: scf.for
// V3: llvm.load %{{.*}} -> vector<8xf32>
// V3-COUNT-8: pmadd.ub.sw
// V3: llvm.store %{{.*}} : vector<8xf32>
// V3-NOT: pmadd.ub.sw
// VNNI: llvm.intr.prefetch
// VNNI: scf.for %{{.*}} = %{{.*}} to %c17{{(_[0-9]+)?}} step
// VNNI-NOT: scf.for
// VNNI: llvm.load %{{.*}} -> vector<8xf32>
// VNNI-COUNT-8: vpdpbusd.256
// VNNI: llvm.store %{{.*}} : vector<8xf32>
// VNNI: scf.for %{{.*}} = %{{.*}} to %c17{{(_[0-9]+)?}} step
// VNNI-NOT: scf.for
// VNNI: llvm.load %{{.*}} -> vector<8xf32>
// VNNI-COUNT-8: vpdpbusd.256
// VNNI: llvm.store %{{.*}} : vector<8xf32>
// VNNI-NOT: vpdpbusd.256
// NEON: llvm.intr.prefetch
// NEON: scf.for %{{.*}} = %{{.*}} to %c17{{(_[0-9]+)?}} step
// NEON-NOT: scf.for
// NEON: llvm.load %{{.*}} -> vector<4xf32>
// NEON-COUNT-8: sdot
// NEON: llvm.store %{{.*}} : vector<4xf32>
// NEON: scf.for %{{.*}} = %{{.*}} to %c17{{(_[0-9]+)?}} step
// NEON-NOT: scf.for
// NEON: llvm.load %{{.*}} -> vector<4xf32>
// NEON-COUNT-8: sdot
// NEON: llvm.store %{{.*}} : vector<4xf32>
// NEON: scf.for %{{.*}} = %{{.*}} to %c17{{(_[0-9]+)?}} step
// NEON-NOT: scf.for
// NEON: llvm.load %{{.*}} -> vector<4xf32>
// NEON-COUNT-8: sdot
// NEON: llvm.store %{{.*}} : vector<4xf32>
// NEON: scf.for %{{.*}} = %{{.*}} to %c17{{(_[0-9]+)?}} step
// NEON-NOT: scf.for
// NEON: llvm.load %{{.*}} -> vector<4xf32>
// NEON-COUNT-8: sdot
// NEON: llvm.store %{{.*}} : vector<4xf32>
// NEON-NOT: sdot
// V4: llvm.intr.prefetch
// V4: scf.for %{{.*}} = %{{.*}} to %c17{{(_[0-9]+)?}} step
// V4-NOT: scf.for
// V4: llvm.load %{{.*}} -> vector<16xf32>
// V4-COUNT-8: vpdpbusd.512
// V4: llvm.store %{{.*}} : vector<16xf32>
// V4-NOT: vpdpbusd.512
// CHECK: return
func.func @seventeen_tokens(%w: memref<?x?x!transformer.block<q8_0, rows = 16>>, %a: memref<?x?x!transformer.activation<q8, tokens = 17>>, %y: memref<?x17x?xvector<16xf32>>) {
  linalg.generic {indexing_maps = [#w, #a, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %a : memref<?x?x!transformer.block<q8_0, rows = 16>>, memref<?x?x!transformer.activation<q8, tokens = 17>>)
      outs(%y : memref<?x17x?xvector<16xf32>>) {
  ^bb0(%b: !transformer.block<q8_0, rows = 16>, %x: !transformer.activation<q8, tokens = 17>, %sum: vector<16xf32>):
    %t = linalg.index 1 : index
    %0 = tile.block_dot %b, %x[%t], %sum : !transformer.block<q8_0, rows = 16>, !transformer.activation<q8, tokens = 17>, vector<16xf32>
    linalg.yield %0 : vector<16xf32>
  }
  return
}
