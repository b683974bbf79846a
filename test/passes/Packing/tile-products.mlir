// RUN: stepdown-opt %s -split-input-file -thread-kernels | FileCheck %s
// RUN: stepdown-opt %s -split-input-file -thread-kernels=target=emulated:gfx942 | FileCheck %s --check-prefix=AMD
// RUN: stepdown-opt %s -split-input-file -thread-kernels=target=emulated:sm_80 | FileCheck %s --check-prefix=WARP
// RUN: stepdown-opt %s -split-input-file -thread-kernels=exact | FileCheck %s --check-prefix=THREADS

!a = tensor<?x3x!transformer.activation<f32>>
!w = tensor<48x3x!transformer.block<q4_1>>
!y = tensor<?x48xf32>
#each = affine_map<(d0, d1) -> (d0, d1)>

// Rows of x become binary16 once for both products, which are one launch; their sum is computed by threads.
// CHECK-LABEL: @two_products_of_one_operand
// CHECK: %[[SCALE:.*]] = transformer.dispatch @linear_0({{.*}} -> tensor<?x1xf32>
// CHECK: %[[ROWS:.*]] = transformer.dispatch @linear_1(%{{.*}}, %[[SCALE]]) {{.*}} -> tensor<?x96xf16>
// CHECK: %[[P:.*]]:2 = transformer.dispatch @quantised_matmul_q4_1(%{{.*}}, %{{.*}}, %[[ROWS]], %[[SCALE]])
// CHECK-SAME: sources [0, 0, 1, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 5, 0]
// CHECK-SAME: dims [array<i64: 3, 3, 40>, array<i64: 3, 3, 40>, array<i64: 3, 3, 40>, array<i64: -1, 96>, array<i64: 1, -1>, array<i64: -1, 48>, array<i64: -1, 48>, array<i64: -1, 48>]
// CHECK: transformer.dispatch @linear_2(%[[P]]#0, %[[P]]#1)
// CHECK-NOT: transformer.dispatch
// CHECK: func.func private @linear_0_b0
// CHECK: arith.maximumf
// CHECK: func.func private @linear_1_b0
// CHECK: arith.truncf {{.*}} : f32 to f16
// CHECK: tile.kernel @quantised_matmul_q4_1_b0({{.*}} attributes {tile.grid = array<i64: 64, 256, 49344, 8, 3>}
// CHECK: tile.kernel @quantised_matmul_q4_1_b1({{.*}} attributes {tile.grid = array<i64: 64, 256, {{.*}}, 64, 3>}
// CHECK: tile.kernel @quantised_matmul_q4_1_b2({{.*}} attributes {tile.grid = array<i64: 128, 384, {{.*}}, 128, 3>}
// CHECK-NOT: tile.kernel
// Where waves read blocks, rows of them are words; the code says how much LDS it has.
// AMD-LABEL: @two_products_of_one_operand
// AMD: transformer.dispatch @quantised_matmul_q4_1
// AMD-SAME: dims [array<i64: 3, 120>, array<i64: 3, 120>, array<i64: 3, 120>, array<i64: -1, 96>, array<i64: 1, -1>, array<i64: -1, 48>, array<i64: -1, 48>, array<i64: -1, 48>]
// AMD: tile.kernel @quantised_matmul_q4_1_b0({{.*}} attributes {tile.grid = array<i64: 32, 128, 0, 16, 3>}
// Warps copy themselves, too, and their shared memory is the launch's.
// WARP-LABEL: @two_products_of_one_operand
// WARP: transformer.dispatch @quantised_matmul_q4_1
// WARP-SAME: dims [array<i64: 3, 120>, array<i64: 3, 120>, array<i64: 3, 120>, array<i64: -1, 96>, array<i64: 1, -1>, array<i64: -1, 48>, array<i64: -1, 48>, array<i64: -1, 48>]
// WARP: tile.kernel @quantised_matmul_q4_1_b0({{.*}} attributes {tile.grid = array<i64: 64, 128, 49152, 8, 3>}
// WARP: tile.kernel @quantised_matmul_q4_1_b1({{.*}} attributes {tile.grid = array<i64: 64, 128, 53248, 64, 3>}
// WARP: tile.kernel @quantised_matmul_q4_1_b2({{.*}} attributes {tile.grid = array<i64: 128, 256, 106496, 128, 3>}
// THREADS-NOT: tile.kernel
func.func @two_products_of_one_operand(%a: !a, %w: !w, %u: !w) -> !y {
  %0 = transformer.kernel "linear" (%x = %a : !a, %m = %w : !w, %n = %u : !w) -> (!y) {
    %1 = transformer.linear %x, %m : (!a, !w) -> !y
    %2 = transformer.linear %x, %n : (!a, !w) -> !y
    %c0 = arith.constant 0 : index
    %t = tensor.dim %1, %c0 : !y
    %e = tensor.empty(%t) : !y
    %3 = linalg.generic {indexing_maps = [#each, #each, #each], iterator_types = ["parallel", "parallel"]}
        ins(%1, %2 : !y, !y) outs(%e : !y) {
    ^bb0(%p: f32, %q: f32, %old: f32):
      %s = arith.addf %p, %q : f32
      linalg.yield %s : f32
    } -> !y
    transformer.yield %3 : !y
  }
  return %0 : !y
}

// -----

!a = tensor<?x3x!transformer.activation<f32>>
!w = tensor<48x3x!transformer.block<q4_1>>
!u = tensor<16x3x!transformer.block<q8_0>>
!y = tensor<?x48xf32>
!z = tensor<?x16xf32>

// A launch has weights of one type, of one operand, and three of them.
// CHECK-LABEL: @products_of_two_launches
// CHECK: transformer.dispatch @quantised_matmul_q4_1({{.*}} -> tensor<?x48xf32>
// CHECK: transformer.dispatch @quantised_matmul_q8_0({{.*}} -> tensor<?x16xf32>
// CHECK: transformer.dispatch @quantised_matmul_q4_1({{.*}} -> (tensor<?x48xf32>, tensor<?x48xf32>, tensor<?x48xf32>)
// CHECK: transformer.dispatch @quantised_matmul_q4_1({{.*}} -> tensor<?x48xf32>
func.func @products_of_two_launches(%a: !a, %b: !a, %w: !w, %u: !u) -> (!y, !z, !y, !y, !y, !y) {
  %0:6 = transformer.kernel "linear" (%x = %a : !a, %o = %b : !a, %m = %w : !w, %n = %u : !u) -> (!y, !z, !y, !y, !y, !y) {
    %1 = transformer.linear %x, %m : (!a, !w) -> !y
    %2 = transformer.linear %x, %n : (!a, !u) -> !z
    %3 = transformer.linear %o, %m : (!a, !w) -> !y
    %4 = transformer.linear %o, %m : (!a, !w) -> !y
    %5 = transformer.linear %o, %m : (!a, !w) -> !y
    %6 = transformer.linear %o, %m : (!a, !w) -> !y
    transformer.yield %1, %2, %3, %4, %5, %6 : !y, !z, !y, !y, !y, !y
  }
  return %0#0, %0#1, %0#2, %0#3, %0#4, %0#5 : !y, !z, !y, !y, !y, !y
}

// -----

!a = tensor<?x3x!transformer.activation<f32>>
!w = tensor<48x3x!transformer.block<mxfp4>>
!y = tensor<?x48xf32>

// Scales of MXFP4 have a range that binary16 has not.
// CHECK-LABEL: @no_tile_kernel
// CHECK-NOT: tile.kernel
// AMD-LABEL: @no_tile_kernel
// AMD-NOT: tile.kernel
func.func @no_tile_kernel(%a: !a, %w: !w) -> !y {
  %0 = transformer.kernel "linear" (%x = %a : !a, %m = %w : !w) -> (!y) {
    %1 = transformer.linear %x, %m : (!a, !w) -> !y
    transformer.yield %1 : !y
  }
  return %0 : !y
}

// -----

!a = tensor<?x5x!transformer.activation<f32>>
!w = tensor<48x5x!transformer.block<q4_1>>
!p = tensor<?x160xf32>
!y = tensor<?x48xf32>
#each = affine_map<(d0, d1) -> (d0, d1)>

// The kernel that makes an operand makes rows of binary16 of it, in one launch; what only products read is nowhere else.
// CHECK-LABEL: @operand_of_another_kernel
// CHECK: %[[ROWS:.*]]:2 = transformer.dispatch @gate_0(%{{.*}}, %{{.*}}) sources [2, 0, 3, 0, 0, 0, 1, 0]
// CHECK-SAME: -> (tensor<?x1xf32>, tensor<?x160xf16>)
// CHECK-NEXT: %[[Y:.*]] = transformer.dispatch @quantised_matmul_q4_1(%{{.*}}, %[[ROWS]]#1, %[[ROWS]]#0)
// CHECK-NEXT: return %[[Y]]
// CHECK: func.func private @gate_0_b0({{.*}}) attributes {tile.grid = array<i64: 32, 32>}
// CHECK: memref.alloca() : memref<32xf32, #gpu.address_space<workgroup>>
// CHECK: arith.maximumf
// CHECK: gpu.barrier
// CHECK: arith.truncf {{.*}} : f32 to f16
// CHECK-NOT: func.func
// CHECK: tile.kernel
// AMD-LABEL: @operand_of_another_kernel
// AMD: %[[ROWS:.*]]:2 = transformer.dispatch @gate_0({{.*}} -> (tensor<?x1xf32>, tensor<?x160xf16>)
// AMD-NEXT: transformer.dispatch @quantised_matmul_q4_1(%{{.*}}, %[[ROWS]]#1, %[[ROWS]]#0)
// THREADS-LABEL: @operand_of_another_kernel
// THREADS: transformer.dispatch @gate_0({{.*}} -> tensor<?x160xf32>
func.func @operand_of_another_kernel(%p: !p, %q: !p, %w: !w) -> !y {
  %0 = transformer.kernel "gate" (%a = %p : !p, %b = %q : !p) -> (!a) {
    %c0 = arith.constant 0 : index
    %t = tensor.dim %a, %c0 : !p
    %e = tensor.empty(%t) : !p
    %1 = linalg.generic {indexing_maps = [#each, #each, #each], iterator_types = ["parallel", "parallel"]}
        ins(%a, %b : !p, !p) outs(%e : !p) {
    ^bb0(%x: f32, %y: f32, %old: f32):
      %z = arith.mulf %x, %y : f32
      linalg.yield %z : f32
    } -> !p
    %2 = transformer.quantize %1 : !p -> !a
    transformer.yield %2 : !a
  }
  %3 = transformer.kernel "linear" (%x = %0 : !a, %m = %w : !w) -> (!y) {
    %4 = transformer.linear %x, %m : (!a, !w) -> !y
    transformer.yield %4 : !y
  }
  return %3 : !y
}

// -----

!a = tensor<?x5x!transformer.activation<f32>>
!w = tensor<48x5x!transformer.block<q4_1>>
!p = tensor<?x160xf32>
!y = tensor<?x48xf32>
#each = affine_map<(d0, d1) -> (d0, d1)>

// What is read elsewhere too is written by the same launch.
// CHECK-LABEL: @operand_that_is_read_elsewhere
// CHECK: %[[ROWS:.*]]:3 = transformer.dispatch @gate_0({{.*}} -> (tensor<?x160xf32>, tensor<?x1xf32>, tensor<?x160xf16>)
// CHECK-NEXT: %[[Y:.*]] = transformer.dispatch @quantised_matmul_q4_1(%{{.*}}, %[[ROWS]]#2, %[[ROWS]]#1)
// CHECK-NEXT: return %[[Y]], %[[ROWS]]#0
func.func @operand_that_is_read_elsewhere(%p: !p, %q: !p, %w: !w) -> (!y, !p) {
  %0 = transformer.kernel "gate" (%a = %p : !p, %b = %q : !p) -> (!p) {
    %c0 = arith.constant 0 : index
    %t = tensor.dim %a, %c0 : !p
    %e = tensor.empty(%t) : !p
    %1 = linalg.generic {indexing_maps = [#each, #each, #each], iterator_types = ["parallel", "parallel"]}
        ins(%a, %b : !p, !p) outs(%e : !p) {
    ^bb0(%x: f32, %y: f32, %old: f32):
      %z = arith.mulf %x, %y : f32
      linalg.yield %z : f32
    } -> !p
    transformer.yield %1 : !p
  }
  %3 = transformer.kernel "linear" (%x = %0 : !p, %m = %w : !w) -> (!y) {
    %4 = transformer.linear %x, %m : (!p, !w) -> !y
    transformer.yield %4 : !y
  }
  return %3, %0 : !y, !p
}

// -----

!cache = !transformer.cache<heads = 2, key = 16, value = 16, element = f16>

// Blocks of threads have the two query heads of each of 16 tokens, and products on matrix units: of a warp's 32 lanes 8
// elements each, of a wave's 64 four.
// CHECK-LABEL: @attention_on_matrix_units
// CHECK: %[[SHARES:.*]] = transformer.dispatch @attention_0({{.*}} -> tensor<?x144xf32>
// CHECK: transformer.dispatch @attention_1(%[[SHARES]], {{.*}} -> tensor<?x64xf32>
// CHECK: @attention_0_b0({{.*}} {tile.bound = 7 : i64}{{.*}} attributes {tile.grid = array<i64: 512, 128>, tile.splits = array<i64: 128, 2, 16, 32>}
// CHECK: memref.alloca() : memref<32x24xf16, #gpu.address_space<workgroup>>
// CHECK: vector.load {{.*}} : memref<?x2x?x16x16xf16>, vector<2xf16>
// CHECK: tile.warp_mma{{.*}} : f32, f32, f32, f32, f32, f32, f32, f32
// CHECK-COUNT-4: gpu.barrier
// CHECK: vector.load {{.*}} : memref<?x2x?x16xf16>, vector<2xf16>
// WARP-LABEL: @attention_on_matrix_units
// WARP: tile.warp_mma{{.*}} : f32, f32, f32, f32, f32, f32, f32, f32{{$}}
// AMD-LABEL: @attention_on_matrix_units
// AMD: tile.splits = array<i64: 128, 2, 16, 64>
// AMD: tile.warp_mma{{.*}} : f32, f32, f32, f32{{$}}
func.func @attention_on_matrix_units(%q: tensor<?x64xf32>, %b: !transformer.batch, %c: !cache) -> tensor<?x64xf32> {
  %0 = transformer.kernel "attention" (%x = %q : tensor<?x64xf32>, %batch = %b : !transformer.batch, %kv = %c : !cache) -> (tensor<?x64xf32>) {
    %1 = transformer.attention %x, %batch, %kv {scale = 0.25 : f64, window = 7 : i64}
        : (tensor<?x64xf32>, !transformer.batch, !cache) -> tensor<?x64xf32>
    transformer.yield %1 : tensor<?x64xf32>
  }
  return %0 : tensor<?x64xf32>
}

// -----

// Sums of 513 columns and more find no room in a warp's registers, whatever the model says: a thread has a query head.
// CHECK-LABEL: @attention_of_wide_values
// CHECK: transformer.dispatch @attention_0({{.*}} -> tensor<?x528xf32>
// CHECK-NOT: tile.splits
// CHECK-NOT: tile.warp_mma
func.func @attention_of_wide_values(%q: tensor<?x16xf32>, %b: !transformer.batch, %c: !transformer.cache<heads = 1, key = 16, value = 528, element = f16>) -> tensor<?x528xf32> {
  %0 = transformer.kernel "attention" (%x = %q : tensor<?x16xf32>, %batch = %b : !transformer.batch, %kv = %c : !transformer.cache<heads = 1, key = 16, value = 528, element = f16>) -> (tensor<?x528xf32>) {
    %1 = transformer.attention %x, %batch, %kv {scale = 0.25 : f64}
        : (tensor<?x16xf32>, !transformer.batch, !transformer.cache<heads = 1, key = 16, value = 528, element = f16>) -> tensor<?x528xf32>
    transformer.yield %1 : tensor<?x528xf32>
  }
  return %0 : tensor<?x528xf32>
}

// -----

!a = tensor<?x3x!transformer.activation<f32>>
!w = tensor<48x3x!transformer.block<q4_1>>
!y = tensor<?x48xf32>
#each = affine_map<(d0, d1) -> (d0, d1)>

// A sum of the product and of what lies in memory is the product's own launch, whose kernel takes it as an argument.
// CHECK-LABEL: @product_and_residual
// CHECK: transformer.dispatch @linear_0(
// CHECK: transformer.dispatch @linear_1(
// CHECK: %[[Y:.*]] = transformer.dispatch @quantised_matmul_q4_1_added(%{{.*}}, %{{.*}}, %{{.*}}, %arg2) sources [0, 0, 1, 0, 2, 0, 3, 0, 4, 0]
// CHECK-SAME: dims [array<i64: 3, 3, 40>, array<i64: -1, 96>, array<i64: 1, -1>, array<i64: -1, 48>, array<i64: -1, 48>]
// CHECK-NEXT: return %[[Y]]
// CHECK: tile.kernel @quantised_matmul_q4_1_added_b0({{.*}} attributes {tile.grid = array<i64: 64, 256, 49344, 8>}
// CHECK: tile.read %{{.*}} {transposed}
// WARP-LABEL: @product_and_residual
// WARP: transformer.dispatch @quantised_matmul_q4_1_added(%{{.*}}, %{{.*}}, %{{.*}}, %arg2) sources [0, 0, 1, 0, 2, 0, 3, 0, 4, 0]
// WARP-SAME: dims [array<i64: 3, 120>, array<i64: -1, 96>, array<i64: 1, -1>, array<i64: -1, 48>, array<i64: -1, 48>]
// WARP: tile.kernel @quantised_matmul_q4_1_added_b0({{.*}} attributes {tile.grid = array<i64: 64, 128, 49152, 8>}
// WARP: tile.read %{{.*}} {transposed}
// WARP: tile.kernel @quantised_matmul_q4_1_added_b2({{.*}} attributes {tile.grid = array<i64: 128, 256, 106496, 128>}
// AMD-LABEL: @product_and_residual
// AMD: %[[Y:.*]] = transformer.dispatch @quantised_matmul_q4_1_added(%{{.*}}, %{{.*}}, %{{.*}}, %arg2)
// AMD-NEXT: return %[[Y]]
// THREADS-LABEL: @product_and_residual
// THREADS: %[[Y:.*]] = transformer.dispatch @linear_0(
// THREADS-NEXT: return %[[Y]]
func.func @product_and_residual(%a: !a, %w: !w, %r: !y) -> !y {
  %0 = transformer.kernel "linear" (%x = %a : !a, %m = %w : !w, %before = %r : !y) -> (!y) {
    %1 = transformer.linear %x, %m : (!a, !w) -> !y
    %c0 = arith.constant 0 : index
    %t = tensor.dim %1, %c0 : !y
    %e = tensor.empty(%t) : !y
    %2 = linalg.generic {indexing_maps = [#each, #each, #each], iterator_types = ["parallel", "parallel"]}
        ins(%before, %1 : !y, !y) outs(%e : !y) {
    ^bb0(%p: f32, %q: f32, %old: f32):
      %s = arith.addf %p, %q : f32
      linalg.yield %s : f32
    } -> !y
    transformer.yield %2 : !y
  }
  return %0 : !y
}

// -----

!a = tensor<?x3x!transformer.activation<f32>>
!w = tensor<48x3x!transformer.block<q4_1>>
!y = tensor<?x48xf32>
#each = affine_map<(d0, d1) -> (d0, d1)>

// A product that is read elsewhere too is no other's addend's, and a difference is no sum.
// CHECK-LABEL: @product_that_is_read_twice
// CHECK-NOT: _added
// AMD-LABEL: @product_that_is_read_twice
// AMD-NOT: _added
func.func @product_that_is_read_twice(%a: !a, %w: !w, %r: !y) -> (!y, !y, !y) {
  %0:2 = transformer.kernel "linear" (%x = %a : !a, %m = %w : !w, %before = %r : !y) -> (!y, !y) {
    %1 = transformer.linear %x, %m : (!a, !w) -> !y
    %c0 = arith.constant 0 : index
    %t = tensor.dim %1, %c0 : !y
    %e = tensor.empty(%t) : !y
    %2 = linalg.generic {indexing_maps = [#each, #each, #each], iterator_types = ["parallel", "parallel"]}
        ins(%before, %1 : !y, !y) outs(%e : !y) {
    ^bb0(%p: f32, %q: f32, %old: f32):
      %s = arith.addf %p, %q : f32
      linalg.yield %s : f32
    } -> !y
    transformer.yield %1, %2 : !y, !y
  }
  %3 = transformer.kernel "linear" (%x = %a : !a, %m = %w : !w, %before = %r : !y) -> (!y) {
    %4 = transformer.linear %x, %m : (!a, !w) -> !y
    %c0 = arith.constant 0 : index
    %t = tensor.dim %4, %c0 : !y
    %e = tensor.empty(%t) : !y
    %5 = linalg.generic {indexing_maps = [#each, #each, #each], iterator_types = ["parallel", "parallel"]}
        ins(%before, %4 : !y, !y) outs(%e : !y) {
    ^bb0(%p: f32, %q: f32, %old: f32):
      %s = arith.subf %p, %q : f32
      linalg.yield %s : f32
    } -> !y
    transformer.yield %5 : !y
  }
  return %0#0, %0#1, %3 : !y, !y, !y
}

// -----

!cache = !transformer.cache<heads = 2, key = 16, value = 16, element = f16>
!q = tensor<?x160xf32>
!a = tensor<?x5x!transformer.activation<f32>>
!w = tensor<48x5x!transformer.block<q4_1>>
!y = tensor<?x48xf32>

// The launch that joins the shares of attention makes rows of the product of it: 160 numbers of a row by 192 threads,
// whose tree has 64 numbers beyond a power of two. What only the product reads is nowhere else.
// CHECK-LABEL: @attention_and_rows
// CHECK: %[[SHARES:.*]] = transformer.dispatch @attention_0(
// CHECK-NEXT: %[[ROWS:.*]]:2 = transformer.dispatch @attention_1(%[[SHARES]], {{.*}} -> (tensor<?x1xf32>, tensor<?x160xf16>)
// CHECK-NEXT: %[[Y:.*]] = transformer.dispatch @quantised_matmul_q4_1(%{{.*}}, %[[ROWS]]#1, %[[ROWS]]#0)
// CHECK-NEXT: return %[[Y]]
// CHECK: @attention_1_b0({{.*}} attributes {tile.grid = array<i64: 192, 192>, tile.splits = array<i64: 128, 16>}
// CHECK: memref.alloca() : memref<192xf32, #gpu.address_space<workgroup>>
// AMD-LABEL: @attention_and_rows
// AMD: %[[ROWS:.*]]:2 = transformer.dispatch @attention_1({{.*}} -> (tensor<?x1xf32>, tensor<?x160xf16>)
// THREADS-LABEL: @attention_and_rows
// THREADS: transformer.dispatch @attention_1({{.*}} -> tensor<?x160xf32>
func.func @attention_and_rows(%q: !q, %b: !transformer.batch, %c: !cache, %w: !w) -> !y {
  %0 = transformer.kernel "attention" (%x = %q : !q, %batch = %b : !transformer.batch, %kv = %c : !cache) -> (!a) {
    %1 = transformer.attention %x, %batch, %kv {scale = 0.25 : f64} : (!q, !transformer.batch, !cache) -> !q
    %2 = transformer.quantize %1 : !q -> !a
    transformer.yield %2 : !a
  }
  %3 = transformer.kernel "linear" (%x = %0 : !a, %m = %w : !w) -> (!y) {
    %4 = transformer.linear %x, %m : (!a, !w) -> !y
    transformer.yield %4 : !y
  }
  return %3 : !y
}

// -----

!cache = !transformer.cache<heads = 2, key = 16, value = 16, element = f16>
!q = tensor<?x160xf32>
!w = tensor<48x5x!transformer.block<q4_1>>
!y = tensor<?x48xf32>

// CHECK-LABEL: @attention_that_is_read_elsewhere
// CHECK: %[[ROWS:.*]]:3 = transformer.dispatch @attention_1({{.*}} -> (tensor<?x160xf32>, tensor<?x1xf32>, tensor<?x160xf16>)
// CHECK-NEXT: transformer.dispatch @quantised_matmul_q4_1(%{{.*}}, %[[ROWS]]#2, %[[ROWS]]#1)
func.func @attention_that_is_read_elsewhere(%q: !q, %b: !transformer.batch, %c: !cache, %w: !w) -> (!y, !q) {
  %0 = transformer.kernel "attention" (%x = %q : !q, %batch = %b : !transformer.batch, %kv = %c : !cache) -> (!q) {
    %1 = transformer.attention %x, %batch, %kv {scale = 0.25 : f64} : (!q, !transformer.batch, !cache) -> !q
    transformer.yield %1 : !q
  }
  %3 = transformer.kernel "linear" (%x = %0 : !q, %m = %w : !w) -> (!y) {
    %4 = transformer.linear %x, %m : (!q, !w) -> !y
    transformer.yield %4 : !y
  }
  return %3, %0 : !y, !q
}
