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

// -----

!a = tensor<?x9x!transformer.activation<f32>>
!w = tensor<40x9x!transformer.block<q8_0>>

// Three warps share the columns of 32 rows, three blocks each, which one of them joins. Of rows that there are not,
// nothing is stored.
// CHECK-LABEL: @product_of_many_columns
// CHECK: @linear_0_b0({{.*}} attributes {tile.grid = array<i64: 192, 96>}
// CHECK: memref.alloca() : memref<96xf32, #gpu.address_space<workgroup>>
// CHECK: scf.for
// CHECK: tile.unpack_quad
// CHECK: gpu.barrier
// CHECK: scf.if
// CHECK: scf.if
// CHECK-COUNT-2: arith.addf
// CHECK-NEXT: memref.store
// CHECK-NOT: gpu.barrier
func.func @product_of_many_columns(%a: !a, %w: !w) -> tensor<?x40xf32> {
  %0 = transformer.kernel "linear" (%x = %a : !a, %m = %w : !w) -> (tensor<?x40xf32>) {
    %1 = transformer.linear %x, %m : (!a, !w) -> tensor<?x40xf32>
    transformer.yield %1 : tensor<?x40xf32>
  }
  return %0 : tensor<?x40xf32>
}

// -----

// Blocks of columns that no number of warps up to eight divides: a thread has a row.
// CHECK-LABEL: @product_of_eleven_blocks
// CHECK: @linear_{{.*}}_b0({{.*}} attributes {tile.grid = array<i64: 40, 64>}
// CHECK-NOT: gpu.barrier
func.func @product_of_eleven_blocks(%a: tensor<?x11x!transformer.activation<f32>>, %w: tensor<40x11x!transformer.block<q8_0>>) -> tensor<?x40xf32> {
  %0 = transformer.kernel "linear" (%x = %a : tensor<?x11x!transformer.activation<f32>>, %m = %w : tensor<40x11x!transformer.block<q8_0>>) -> (tensor<?x40xf32>) {
    %1 = transformer.linear %x, %m : (tensor<?x11x!transformer.activation<f32>>, tensor<40x11x!transformer.block<q8_0>>) -> tensor<?x40xf32>
    transformer.yield %1 : tensor<?x40xf32>
  }
  return %0 : tensor<?x40xf32>
}

// -----

!a = tensor<?x9x!transformer.activation<f32>>
!w = tensor<40x9x!transformer.block<q8_0>>

func.func @product_and_bias(%a: !a, %w: !w, %b: tensor<40xf32>) -> tensor<?x40xf32> {
  %0 = transformer.kernel "linear" (%x = %a : !a, %m = %w : !w, %c = %b : tensor<40xf32>) -> (tensor<?x40xf32>) {
    // expected-error @+1 {{expects an operation with a form for a thread in a kernel of a device}}
    %1 = transformer.linear %x, %m, %c : (!a, !w, tensor<40xf32>) -> tensor<?x40xf32>
    transformer.yield %1 : tensor<?x40xf32>
  }
  return %0 : tensor<?x40xf32>
}

// -----

!a = tensor<?x9x!transformer.activation<f32>>
!w = tensor<40x9x!transformer.block<q8_0>>
!d = tensor<?x6x!transformer.activation<f32>>
!v = tensor<40x6x!transformer.block<q8_0>>
!rows = tensor<?x40xf32>
#each = affine_map<(d0, d1) -> (d0, d1)>

// Nine blocks of columns and six: as many warps as divide both, three of one's and two of the other's for each.
// CHECK-LABEL: @products_of_nine_and_six_blocks
// CHECK: @linear_0_b0({{.*}} attributes {tile.grid = array<i64: 192, 96>}
// CHECK: %[[NINE:.*]] = memref.alloca() : memref<96xf32, #gpu.address_space<workgroup>>
// CHECK: %[[SIX:.*]] = memref.alloca() : memref<96xf32, #gpu.address_space<workgroup>>
// CHECK: %[[THREE:.*]] = arith.constant 3 : index
// CHECK: scf.for %{{.*}} = %{{.*}} to %[[THREE]]
// CHECK: tile.unpack_quad {{.*}} memref<3x9x!
// CHECK: memref.store %{{.*}}, %[[NINE]]
// CHECK: %[[TWO:.*]] = arith.constant 2 : index
// CHECK: scf.for %{{.*}} = %{{.*}} to %[[TWO]]
// CHECK: tile.unpack_quad {{.*}} memref<3x6x!
// CHECK: memref.store %{{.*}}, %[[SIX]]
// CHECK: gpu.barrier
// CHECK-COUNT-4: arith.addf
// CHECK-NOT: arith.addf
// CHECK: arith.mulf
// CHECK-NEXT: memref.store
func.func @products_of_nine_and_six_blocks(%a: !a, %w: !w, %d: !d, %v: !v) -> !rows {
  %0 = transformer.kernel "linear" (%x = %a : !a, %m = %w : !w, %y = %d : !d, %n = %v : !v) -> (!rows) {
    %c0 = arith.constant 0 : index
    %1 = transformer.linear %x, %m : (!a, !w) -> !rows
    %2 = transformer.linear %y, %n : (!d, !v) -> !rows
    %t = tensor.dim %1, %c0 : !rows
    %o = tensor.empty(%t) : !rows
    %3 = linalg.generic {indexing_maps = [#each, #each, #each], iterator_types = ["parallel", "parallel"]}
        ins(%1, %2 : !rows, !rows) outs(%o : !rows) {
    ^bb0(%p: f32, %q: f32, %old: f32):
      %s = arith.mulf %p, %q : f32
      linalg.yield %s : f32
    } -> !rows
    transformer.yield %3 : !rows
  }
  return %0 : !rows
}

// -----

!a = tensor<?x9x!transformer.activation<f32>>
!w = tensor<40x9x!transformer.block<q8_0>>
!v = tensor<7x2x!transformer.block<q8_0>>

// What reads a product at other places than its own, here columns and zeros behind them, finds it in memory: so both
// are shared, three blocks each and one.
// CHECK-LABEL: @product_of_a_product
// CHECK: %[[ONE:.*]] = transformer.dispatch @linear_0(
// CHECK-NEXT: transformer.dispatch @linear_1(%{{.*}}, %[[ONE]])
// CHECK: @linear_0_b0({{.*}} attributes {tile.grid = array<i64: 192, 96>}
// CHECK-COUNT-1: gpu.barrier
// CHECK-NOT: gpu.barrier
// CHECK: @linear_1_b0({{.*}} attributes {tile.grid = array<i64: 64, 64>}
// CHECK-COUNT-1: gpu.barrier
// CHECK-NOT: gpu.barrier
func.func @product_of_a_product(%a: !a, %w: !w, %v: !v) -> tensor<?x7xf32> {
  %0 = transformer.kernel "linear" (%x = %a : !a, %m = %w : !w, %n = %v : !v) -> (tensor<?x7xf32>) {
    %1 = transformer.linear %x, %m : (!a, !w) -> tensor<?x40xf32>
    %2 = transformer.quantize %1 : tensor<?x40xf32> -> tensor<?x2x!transformer.activation<f32>>
    %3 = transformer.linear %2, %n : (tensor<?x2x!transformer.activation<f32>>, !v) -> tensor<?x7xf32>
    transformer.yield %3 : tensor<?x7xf32>
  }
  return %0 : tensor<?x7xf32>
}

// -----

!z = tensor<?x32xf32>

// Experts are chosen by a block for each token: its threads count who comes before theirs, then weigh those chosen.
// CHECK-LABEL: @choice
// CHECK: %[[C:.*]]:2 = transformer.dispatch @route_0(%{{.*}}) sources [1, 0, 2, 0, 0, 0] dims [array<i64: -1, 3>, array<i64: -1, 32>, array<i64: -1, 32>] : (tensor<?x32xf32>) -> (tensor<?x3xi32>, tensor<?x32xf32>)
// CHECK-NEXT: return %[[C]]#0, %[[C]]#1
// CHECK: func.func private @route_0_b0(%[[IDS:.*]]: memref<?x3xi32>, %[[WEIGHTS:.*]]: memref<?x32xf32>, %[[Z:.*]]: memref<?x32xf32>) attributes {tile.grid = array<i64: 32, 32>}
// CHECK: %[[ALL:.*]] = memref.alloca() : memref<29xf32, #gpu.address_space<workgroup>>
// CHECK: %[[CHOSEN:.*]] = memref.alloca() : memref<3xf32, #gpu.address_space<workgroup>>
// CHECK: memref.load %[[Z]]
// CHECK: gpu.barrier
// CHECK: scf.for
// CHECK: memref.store %{{.*}}, %[[CHOSEN]]
// CHECK: memref.store %{{.*}}, %[[IDS]]
// CHECK: gpu.barrier
// CHECK: math.exp
// CHECK: memref.store %{{.*}}, %[[WEIGHTS]]
func.func @choice(%a: !z) -> (tensor<?x3xi32>, !z) {
  %0:2 = transformer.kernel "route" (%z = %a : !z) -> (tensor<?x3xi32>, !z) {
    %ids, %weights = transformer.route %z {experts = 29 : i64, used = 3 : i64} : !z -> tensor<?x3xi32>, !z
    transformer.yield %ids, %weights : tensor<?x3xi32>, !z
  }
  return %0#0, %0#1 : tensor<?x3xi32>, !z
}

// -----

!a = tensor<?x2x!transformer.activation<f32>>
!w = tensor<96x1x!transformer.block<q4_1>>

// A thread has one number of one rank, of the expert that the token's id names, and reads that rank's columns.
// CHECK-LABEL: @product_by_rank
// CHECK: transformer.dispatch @expert_linear_0(%{{.*}}) sources [4, 0, 0, 0, 1, 0, 2, 0, 3, 0] dims [array<i64: -1, 64>, array<i64: -1, 2>, array<i64: 6, 1>, array<i64: -1, 64>, array<i64: 96>]
// CHECK: func.func private @expert_linear_0_b0(%{{.*}}: memref<?x64xf32>, %[[IDS:.*]]: memref<?x2xi32>, %[[W:.*]]: memref<6x1x!transformer.block<q4_1, rows = 16>>, %[[X:.*]]: memref<?x64xf32>, %[[B:.*]]: memref<96xf32>) attributes {tile.grid = array<i64: 64, 64>}
// CHECK: scf.parallel (%[[TOKEN:.*]], %[[COLUMN:.*]]) =
// CHECK: arith.divui %[[COLUMN]]
// CHECK: %[[ID:.*]] = memref.load %[[IDS]][%[[TOKEN]], %{{.*}}]
// CHECK: %[[NUMBER:.*]] = arith.index_cast %[[ID]]
// CHECK: arith.minui %[[NUMBER]]
// CHECK: tile.unpack_quad %[[W]]
// CHECK: memref.load %[[B]]
func.func @product_by_rank(%a: !a, %i: tensor<?x2xi32>, %w: !w, %b: tensor<96xf32>) -> tensor<?x64xf32> {
  %0 = transformer.kernel "expert_linear" (%x = %a : !a, %j = %i : tensor<?x2xi32>, %m = %w : !w, %c = %b : tensor<96xf32>) -> (tensor<?x64xf32>) {
    %1 = transformer.expert_linear %x, %j, %m, %c by_rank {experts = 3 : i64} : (!a, tensor<?x2xi32>, !w, tensor<96xf32>) -> tensor<?x64xf32>
    transformer.yield %1 : tensor<?x64xf32>
  }
  return %0 : tensor<?x64xf32>
}

// -----

!rows = tensor<?x32xf32>
#each = affine_map<(d0, d1) -> (d0, d1)>

// What experts give is added up by the thread that adds it to the residual stream.
// CHECK-LABEL: @sum_of_experts
// CHECK: transformer.dispatch @residual_norm_0(
// CHECK-NEXT: return
// CHECK: @residual_norm_0_b0
// CHECK: arith.mulf
// CHECK: scf.for
// CHECK: math.fma
// CHECK: arith.addf
// CHECK-COUNT-1: memref.store
// CHECK-NOT: memref.store
func.func @sum_of_experts(%x: !rows, %y: tensor<?x96xf32>, %w: !rows) -> !rows {
  %0 = transformer.kernel "residual_norm" (%a = %x : !rows, %e = %y : tensor<?x96xf32>, %s = %w : !rows) -> (!rows) {
    %c0 = arith.constant 0 : index
    %1 = transformer.combine_experts %e, %s : (tensor<?x96xf32>, !rows) -> !rows
    %t = tensor.dim %a, %c0 : !rows
    %o = tensor.empty(%t) : !rows
    %2 = linalg.generic {indexing_maps = [#each, #each, #each], iterator_types = ["parallel", "parallel"]}
        ins(%a, %1 : !rows, !rows) outs(%o : !rows) {
    ^bb0(%u: f32, %v: f32, %old: f32):
      %q = arith.addf %u, %v : f32
      linalg.yield %q : f32
    } -> !rows
    transformer.yield %2 : !rows
  }
  return %0 : !rows
}
