// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -thread-kernels=exact | FileCheck %s

!a = tensor<?x1x!transformer.activation<f32>>
!w = tensor<32x1x!transformer.block<q4_1>>

// A thread has one number of the product: a row of the weight by a token.
// CHECK-LABEL: @product
// CHECK: transformer.dispatch @linear_0(%{{.*}}) sources [2, 0, 0, 0, 1, 0] dims [array<i64: -1, 32>, array<i64: 2, 1>, array<i64: -1, 32>]
func.func @product(%a: !a, %w: !w) -> tensor<?x32xf32> {
  %0 = transformer.kernel "linear" (%x = %a : !a, %m = %w : !w) -> (tensor<?x32xf32>) {
    %1 = transformer.linear %x, %m : (!a, !w) -> tensor<?x32xf32>
    transformer.yield %1 : tensor<?x32xf32>
  }
  return %0 : tensor<?x32xf32>
}
// CHECK: func.func private @linear_0_b0(%{{.*}}: memref<?x32xf32>, %{{.*}}: memref<2x1x!transformer.block<q4_1, rows = 16>>, %{{.*}}: memref<?x32xf32>) attributes {tile.grid = array<i64: 32, 32>}
// CHECK: tile.unpack_quad
// CHECK: vector.load %{{.*}} : memref<?x32xf32>, vector<4xf32>
// CHECK-COUNT-4: math.fma
// CHECK: memref.store

// -----

!rows = tensor<?x32xf32>
#each = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>

// What is summed up lies in memory, what is made of it is computed where it is wanted.
// CHECK-LABEL: @sum_and_what_is_made_of_it
// CHECK: %[[SUM:.*]] = transformer.dispatch @scale_0({{.*}} -> tensor<?x1xf32>
// CHECK: transformer.dispatch @scale_1(%{{.*}}, %[[SUM]])
// CHECK-NOT: transformer.dispatch
func.func @sum_and_what_is_made_of_it(%a: !rows) -> !rows {
  %0 = transformer.kernel "scale" (%x = %a : !rows) -> (!rows) {
    %c0 = arith.constant 0 : index
    %zero = arith.constant 0.0 : f32
    %t = tensor.dim %x, %c0 : !rows
    %e = tensor.empty(%t) : tensor<?xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
    %s = linalg.generic {indexing_maps = [#each, #row], iterator_types = ["parallel", "reduction"]}
        ins(%x : !rows) outs(%f : tensor<?xf32>) {
    ^bb0(%v: f32, %acc: f32):
      %sum = arith.addf %acc, %v : f32
      linalg.yield %sum : f32
    } -> tensor<?xf32>
    %o = tensor.empty(%t) : !rows
    %y = linalg.generic {indexing_maps = [#each, #row, #each], iterator_types = ["parallel", "parallel"]}
        ins(%x, %s : !rows, tensor<?xf32>) outs(%o : !rows) {
    ^bb0(%v: f32, %sum: f32, %old: f32):
      %q = arith.divf %v, %sum : f32
      linalg.yield %q : f32
    } -> !rows
    transformer.yield %y : !rows
  }
  return %0 : !rows
}
// CHECK: @scale_0_b0
// CHECK: scf.for
// CHECK: arith.addf
// CHECK: @scale_1_b0
// CHECK-NOT: scf.for
// CHECK: arith.divf

// -----

!rows = tensor<?x608xf32>
!sums = tensor<?x1xf32>
#column = affine_map<(row, one, column) -> (row, column)>
#row = affine_map<(row, one, column) -> (row, one)>

// 128 threads share a long row: four columns each, 96 of them a fifth, and what they have is joined in a tree. What begins
// with another number than the sum of nothing is a thread's.
// CHECK-LABEL: @sum_of_a_long_row
// CHECK: @sum_0_b0({{.*}} attributes {tile.grid = array<i64: 128, 128>}
// CHECK: memref.alloca() : memref<128xf32, #gpu.address_space<workgroup>>
// CHECK: scf.for
// CHECK: math.fma
// CHECK: scf.if
// CHECK: math.fma
// CHECK-COUNT-7: gpu.barrier
// CHECK-NOT: gpu.barrier
// CHECK: @sum_1_b0({{.*}} attributes {tile.grid = array<i64: 1, 32>}
func.func @sum_of_a_long_row(%a: !rows) -> (!sums, !sums) {
  %0:2 = transformer.kernel "sum" (%x = %a : !rows) -> (!sums, !sums) {
    %c0 = arith.constant 0 : index
    %zero = arith.constant 0.0 : f32
    %one = arith.constant 1.0 : f32
    %t = tensor.dim %x, %c0 : !rows
    %e = tensor.empty(%t) : !sums
    %f = linalg.fill ins(%zero : f32) outs(%e : !sums) -> !sums
    %s = linalg.generic {indexing_maps = [#column, #row], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%x : !rows) outs(%f : !sums) {
    ^bb0(%v: f32, %acc: f32):
      %sum = math.fma %v, %v, %acc : f32
      linalg.yield %sum : f32
    } -> !sums
    %g = linalg.fill ins(%one : f32) outs(%e : !sums) -> !sums
    %u = linalg.generic {indexing_maps = [#column, #row], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%x : !rows) outs(%g : !sums) {
    ^bb0(%v: f32, %acc: f32):
      %sum = arith.addf %v, %acc : f32
      linalg.yield %sum : f32
    } -> !sums
    transformer.yield %s, %u : !sums, !sums
  }
  return %0#0, %0#1 : !sums, !sums
}

// -----

!cache = !transformer.cache<heads = 2, key = 16, value = 16, element = f16>

// Blocks of threads that meet at barriers have a share of what a query sees, and others join the shares; the window is
// the cache's to know, and with it how many chunks of positions a query sees at most.
// CHECK-LABEL: @attention_with_a_window
// CHECK-SAME: transformer.window = 7
// CHECK: %[[SHARES:.*]] = transformer.dispatch @attention_0({{.*}} -> tensor<?x144xf32>
// CHECK: transformer.dispatch @attention_1(%[[SHARES]], {{.*}} -> tensor<?x64xf32>
// CHECK: @attention_0_b0({{.*}} {tile.bound = 7 : i64}{{.*}} attributes {tile.grid = array<i64: 512, 128>, tile.splits = array<i64: 128, 2>}
// CHECK: memref.alloca() : memref<2x128xf32, #gpu.address_space<workgroup>>
// CHECK: vector.load {{.*}} : memref<?x2x?x16xf16>, vector<4xf16>
// CHECK-COUNT-2: gpu.barrier
// CHECK: @attention_1_b0({{.*}} attributes {tile.grid = array<i64: 64, 64>, tile.splits = array<i64: 128, 2>}
// CHECK-NOT: gpu.barrier
// CHECK: arith.maximumf
// CHECK-COUNT-2: math.exp
// CHECK: arith.divf
func.func @attention_with_a_window(%q: tensor<?x64xf32>, %b: !transformer.batch, %c: !cache) -> tensor<?x64xf32> {
  %0 = transformer.kernel "attention" (%x = %q : tensor<?x64xf32>, %batch = %b : !transformer.batch, %kv = %c : !cache) -> (tensor<?x64xf32>) {
    %1 = transformer.attention %x, %batch, %kv {scale = 0.25 : f64, window = 7 : i64}
        : (tensor<?x64xf32>, !transformer.batch, !cache) -> tensor<?x64xf32>
    transformer.yield %1 : tensor<?x64xf32>
  }
  return %0 : tensor<?x64xf32>
}

// -----

!cache = !transformer.cache<heads = 1, key = 16, value = 16, element = f16>

// A block takes up to eight query heads that share keys: of nine each has a thread, and one pass over what it sees.
// CHECK-LABEL: @nine_heads_that_share_keys
// CHECK: transformer.dispatch @attention_0(
// CHECK-NOT: transformer.dispatch
// CHECK: @attention_0_b0({{.*}} attributes {tile.grid = array<i64: 9, 32>}
// CHECK: arith.maximumf
// CHECK-COUNT-2: math.exp
func.func @nine_heads_that_share_keys(%q: tensor<?x144xf32>, %b: !transformer.batch, %c: !cache) -> tensor<?x144xf32> {
  %0 = transformer.kernel "attention" (%x = %q : tensor<?x144xf32>, %batch = %b : !transformer.batch, %kv = %c : !cache) -> (tensor<?x144xf32>) {
    %1 = transformer.attention %x, %batch, %kv {scale = 0.25 : f64}
        : (tensor<?x144xf32>, !transformer.batch, !cache) -> tensor<?x144xf32>
    transformer.yield %1 : tensor<?x144xf32>
  }
  return %0 : tensor<?x144xf32>
}

// -----

!cache = !transformer.cache<heads = 1, key = 16, value = 16, element = f16>

func.func @attention_to_all(%q: tensor<?x16xf32>, %b: !transformer.batch, %c: !cache) -> tensor<?x16xf32> {
  %0 = transformer.kernel "attention" (%x = %q : tensor<?x16xf32>, %batch = %b : !transformer.batch, %kv = %c : !cache) -> (tensor<?x16xf32>) {
    // expected-error @+1 {{expects causal attention of float32 in a kernel of a device}}
    %1 = transformer.attention %x, %batch, %kv {scale = 0.25 : f64, causal = false}
        : (tensor<?x16xf32>, !transformer.batch, !cache) -> tensor<?x16xf32>
    transformer.yield %1 : tensor<?x16xf32>
  }
  return %0 : tensor<?x16xf32>
}

// -----

!cache = !transformer.cache<heads = 1, key = 32, value = 32, element = f16>
!q = tensor<?x64xf32>
!k = tensor<?x32xf32>
!t = tensor<64x2x3xf32>

// Rotated queries, and keys and values of the cache, are one launch of a thread for each number.
// CHECK-LABEL: @rotation_and_cache
// CHECK: %[[R:.*]]:2 = transformer.dispatch @rope_append_0({{.*}} -> (tensor<?x64xf32>, !transformer.cache<
// CHECK-NEXT: return %[[R]]#0, %[[R]]#1
// CHECK: func.func private @rope_append_0_b0({{.*}} attributes {tile.grid = array<i64: 128, 128>}
// CHECK: scf.parallel (%[[TOKEN:.*]], %[[COLUMN:.*]]) =
// CHECK: %[[IS_QUERY:.*]] = arith.cmpi ult, %[[COLUMN]], %{{.*}} : index
// CHECK: scf.if %[[IS_QUERY]]
// CHECK: memref.store {{.*}}[%[[TOKEN]], %[[COLUMN]]] : memref<?x64xf32>
// CHECK: } else {
// CHECK: %[[OWN:.*]] = arith.subi %[[COLUMN]],
// CHECK: %[[IS_KEY:.*]] = arith.cmpi ult, %[[OWN]]
// CHECK: scf.if %[[IS_KEY]]
// CHECK: memref.store {{.*}} : memref<?x1x?x32x16xf16>
// CHECK: memref.store {{.*}} : memref<?x1x?x32xf16>
func.func @rotation_and_cache(%q: !q, %k: !k, %v: !k, %b: !transformer.batch, %c: !cache, %t: !t, %u: !t) -> (!q, !cache) {
  %0:2 = transformer.kernel "rope_append" (%x = %q : !q, %batch = %b : !transformer.batch, %y = %k : !k, %z = %v : !k, %kv = %c : !cache, %coarse = %t : !t, %fine = %u : !t) -> (!q, !cache) {
    %1 = transformer.rope half %x, %batch tables(%coarse, %fine : !t, !t) {head_dim = 32 : i64, inverse_frequencies = array<f64: 1.0, 0.5, 0.25>} : !q
    %2 = transformer.rope half %y, %batch tables(%coarse, %fine : !t, !t) {head_dim = 32 : i64, inverse_frequencies = array<f64: 1.0, 0.5, 0.25>} : !k
    %3 = transformer.kv_append %2, %z, %batch, %kv : !k, !k, !cache
    transformer.yield %1, %3 : !q, !cache
  }
  return %0#0, %0#1 : !q, !cache
}

// -----

!q = tensor<?x64xf32>
!t = tensor<64x2x3xf32>

// A rotation of what was rotated waits for it.
// CHECK-LABEL: @rotated_twice
// CHECK: %[[ONE:.*]] = transformer.dispatch @rope_append_0(
// CHECK: transformer.dispatch @rope_append_{{.*}}%[[ONE]]
func.func @rotated_twice(%q: !q, %b: !transformer.batch, %t: !t, %u: !t) -> (!q, !q) {
  %0:2 = transformer.kernel "rope_append" (%x = %q : !q, %batch = %b : !transformer.batch, %coarse = %t : !t, %fine = %u : !t) -> (!q, !q) {
    %1 = transformer.rope half %x, %batch tables(%coarse, %fine : !t, !t) {head_dim = 32 : i64, inverse_frequencies = array<f64: 1.0, 0.5, 0.25>} : !q
    %2 = transformer.rope half %1, %batch tables(%coarse, %fine : !t, !t) {head_dim = 32 : i64, inverse_frequencies = array<f64: 1.0, 0.5, 0.25>} : !q
    transformer.yield %1, %2 : !q, !q
  }
  return %0#0, %0#1 : !q, !q
}
