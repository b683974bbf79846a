// RUN: stepdown-opt %s -split-input-file -thread-kernels | FileCheck %s
// RUN: stepdown-opt %s -split-input-file -thread-kernels=target=emulated:gfx942 | FileCheck %s --check-prefix=AMD
// RUN: stepdown-opt %s -split-input-file -thread-kernels=exact | FileCheck %s --check-prefix=THREADS

!a = tensor<?x6x!transformer.activation<f32>>
!w = tensor<104x2x!transformer.block<q4_1>>
!y = tensor<?x24xf32>

// Rows of binary16 and a table of which pairs of a token and a rank share an expert, then the product, on matrix units.
// A step of few tokens makes no table: each pair is a tile.
// CHECK-LABEL: @product_of_experts
// CHECK: %[[ROWS:.*]]:2 = transformer.dispatch @down_0(%{{.*}}) {{.*}} -> (tensor<?x1xf32>, tensor<?x192xf16>)
// CHECK: %[[TABLE:.*]] = transformer.dispatch @down_1(%{{.*}}) sources [0, 0, 1, 0] dims [array<i64: -1, 3>, array<i64: -1, 6>]
// CHECK: transformer.dispatch @down_2(%{{.*}}, %[[TABLE]], %{{.*}}, %[[ROWS]]#1, %[[ROWS]]#0) sources [5, 0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0]
// CHECK-NOT: transformer.dispatch
// CHECK: func.func private @down_1_b0
// CHECK-NOT: gpu.barrier
// CHECK: func.func private @down_1_b1({{.*}}) attributes {tile.experts = array<i64: 16, 13, 3>, tile.grid = array<i64: 256, 256>}
// CHECK: func.func private @down_1_b2({{.*}}) attributes {tile.experts = array<i64: 32, 13, 3>, tile.grid = array<i64: 256, 256>}
// CHECK: func.func private @down_2_b0({{.*}}) attributes {tile.experts = array<i64: 1, 13, 3, 3, 1, 16>, tile.grid = array<i64: 192, 64>}
// CHECK-COUNT-2: tile.warp_mma
// CHECK: func.func private @down_2_b1({{.*}}) attributes {tile.experts = array<i64: 16, 13, 3, 1, 1, 16>, tile.grid = array<i64: 64, 64>}
// CHECK-COUNT-2: tile.warp_mma
// CHECK: func.func private @down_2_b2({{.*}}) attributes {tile.experts = array<i64: 32, 13, 3, 1, 1, 16>, tile.grid = array<i64: 64, 64>}
// Weights are unpacked once for both tiles of 16 tokens.
// CHECK: tile.unpack_halves
// CHECK: tile.unpack_halves
// CHECK-NOT: tile.unpack_halves
// CHECK-COUNT-2: tile.warp_mma
// CHECK: tile.unpack_halves
// CHECK: tile.unpack_halves
// CHECK-NOT: tile.unpack_halves
// CHECK-COUNT-2: tile.warp_mma
// Waves of 64 lanes have one row of the weight each, and four elements.
// AMD-LABEL: @product_of_experts
// AMD: @down_2_b0({{.*}}) attributes {{{.*}}, tile.grid = array<i64: 384, 128>}
// AMD: tile.unpack_halves
// AMD-NOT: tile.unpack_halves
// AMD: tile.warp_mma
// Exactly, threads multiply.
// THREADS-LABEL: @product_of_experts
// THREADS: transformer.dispatch @down_0
// THREADS-NEXT: return
// THREADS-NOT: warp_mma
func.func @product_of_experts(%x: !a, %i: tensor<?x3xi32>, %w: !w) -> !y {
  %0 = transformer.kernel "down" (%a = %x : !a, %j = %i : tensor<?x3xi32>, %m = %w : !w) -> (!y) {
    %1 = transformer.expert_linear %a, %j, %m by_rank {experts = 13 : i64} : (!a, tensor<?x3xi32>, !w) -> !y
    transformer.yield %1 : !y
  }
  return %0 : !y
}

// -----

!a = tensor<?x3x!transformer.activation<f32>>
!w = tensor<104x3x!transformer.block<mxfp4>>
!y = tensor<?x16xf32>

// Scales that binary16 does not hold: threads.
// CHECK-LABEL: @scales_of_float32
// CHECK: transformer.dispatch @linear_0(
// CHECK-NOT: warp_mma
func.func @scales_of_float32(%x: !a, %i: tensor<?x2xi32>, %w: !w) -> !y {
  %0 = transformer.kernel "linear" (%a = %x : !a, %j = %i : tensor<?x2xi32>, %m = %w : !w) -> (!y) {
    %1 = transformer.expert_linear %a, %j, %m {experts = 13 : i64} : (!a, tensor<?x2xi32>, !w) -> !y
    transformer.yield %1 : !y
  }
  return %0 : !y
}

// -----

!a = tensor<?x3x!transformer.activation<f32>>
!b = tensor<?x2x!transformer.activation<f32>>
!w = tensor<416x3x!transformer.block<q8_0>>
!v = tensor<624x1x!transformer.block<q8_0>>
!y = tensor<?x64xf32>
#each = affine_map<(d0, d1) -> (d0, d1)>

// Two products and what is computed of them are one launch, which reads the operand's rows once; rows of binary16 are
// made of that by launches of their own, and the next product has the same table.
// CHECK-LABEL: @gate_and_up
// CHECK: %[[SCALE:.*]] = transformer.dispatch @gated_0(
// CHECK: %[[ROWS:.*]] = transformer.dispatch @gated_1(
// CHECK: %[[TABLE:.*]] = transformer.dispatch @gated_2(
// CHECK: %[[Y:.*]] = transformer.dispatch @gated_3(%{{.*}}, %[[TABLE]], %{{.*}}, %[[ROWS]], %[[SCALE]], %{{.*}}) sources [6, 0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0]
// CHECK: %[[NEXT:.*]] = transformer.dispatch @gated_4(%[[Y]])
// CHECK: %[[OPERAND:.*]] = transformer.dispatch @gated_5(%[[Y]], %[[NEXT]])
// CHECK: transformer.dispatch @down_{{[0-9]+}}(%{{.*}}, %[[TABLE]], %{{.*}}, %[[OPERAND]], %[[NEXT]])
// CHECK-NOT: transformer.dispatch
func.func @gate_and_up(%x: !a, %i: tensor<?x2xi32>, %w: !w, %v: !w, %d: !v) -> tensor<?x96xf32> {
  %0 = transformer.kernel "gated" (%a = %x : !a, %j = %i : tensor<?x2xi32>, %m = %w : !w, %n = %v : !w) -> (!b) {
    %c0 = arith.constant 0 : index
    %1 = transformer.expert_linear %a, %j, %m {experts = 13 : i64} : (!a, tensor<?x2xi32>, !w) -> !y
    %2 = transformer.expert_linear %a, %j, %n {experts = 13 : i64} : (!a, tensor<?x2xi32>, !w) -> !y
    %t = tensor.dim %a, %c0 : !a
    %o = tensor.empty(%t) : !y
    %3 = linalg.generic {indexing_maps = [#each, #each, #each], iterator_types = ["parallel", "parallel"]}
        ins(%1, %2 : !y, !y) outs(%o : !y) {
    ^bb0(%p: f32, %q: f32, %old: f32):
      %r = arith.mulf %p, %q : f32
      linalg.yield %r : f32
    } -> !y
    %4 = transformer.quantize %3 : !y -> !b
    transformer.yield %4 : !b
  }
  %5 = transformer.kernel "down" (%b = %0 : !b, %j = %i : tensor<?x2xi32>, %m = %d : !v) -> (tensor<?x96xf32>) {
    %6 = transformer.expert_linear %b, %j, %m by_rank {experts = 13 : i64} : (!b, tensor<?x2xi32>, !v) -> tensor<?x96xf32>
    transformer.yield %6 : tensor<?x96xf32>
  }
  return %5 : tensor<?x96xf32>
}
