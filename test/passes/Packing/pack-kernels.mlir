// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -lower-operations -pack-kernels | FileCheck %s

!a = tensor<?x2x!transformer.activation<q8>>
!w = tensor<32x2x!transformer.block<q4_1>>

// The weight is an argument of packed blocks, 16 rows in each; equal kernels share their functions.
// CHECK-LABEL: func.func @equal_kernels
// CHECK: transformer.dispatch @linear_0(
// CHECK: transformer.dispatch @linear_0(
// CHECK: module @kernels
// A function for each bucket of the target: one token, then tiles of 4 and of 16.
// CHECK: func.func @linear_0_b0(%{{.*}}: tensor<?x?x!transformer.activation<q8>>, %{{.*}}: tensor<?x?x!transformer.block<q4_1, rows = 16>>
// CHECK-SAME: tile.tiling = #tile.tiling<parts = {{\[\[}}1, 0]], arguments = {{\[\[}}1 by 1, whole], [0 by 1, whole], [1 by 1, whole, 0 by 1]]>
// CHECK: linalg.generic {{.*}} ["parallel", "parallel", "parallel", "reduction"]
// CHECK: tile.block_dot
// CHECK: func.func @linear_0_b1(%{{.*}}: tensor<?x?x!transformer.activation<q8, tokens = 4>>
// CHECK: func.func @linear_0_b2(
// CHECK-NOT: func.func
func.func @equal_kernels(%a: !a, %w: !w, %u: !w) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
  %0 = transformer.kernel "linear" (%x = %a : !a, %m = %w : !w) -> (tensor<?x32xf32>) {
    %2 = transformer.linear %x, %m : (!a, !w) -> tensor<?x32xf32>
    transformer.yield %2 : tensor<?x32xf32>
  }
  %1 = transformer.kernel "linear" (%x = %a : !a, %m = %u : !w) -> (tensor<?x32xf32>) {
    %2 = transformer.linear %x, %m : (!a, !w) -> tensor<?x32xf32>
    transformer.yield %2 : tensor<?x32xf32>
  }
  return %0, %1 : tensor<?x32xf32>, tensor<?x32xf32>
}

// -----

// What reads selected rows has a row for each of them, not for each token.
// CHECK-LABEL: func.func @selected_rows
// CHECK: transformer.dispatch @norm_0({{.*}} {by_rows}
func.func @selected_rows(%x: tensor<?x32xf32>, %rows: tensor<?xi32>, %w: tensor<32xf32>) -> tensor<?x32xf32> {
  %0 = transformer.kernel "norm" (%a = %x : tensor<?x32xf32>, %r = %rows : tensor<?xi32>, %n = %w : tensor<32xf32>) -> (tensor<?x32xf32>) {
    %1 = transformer.select_rows %a, %r : (tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x32xf32>
    %2 = transformer.rms_norm %1, %n {eps = 1.0e-5 : f64} : tensor<?x32xf32>, tensor<32xf32>
    transformer.yield %2 : tensor<?x32xf32>
  }
  return %0 : tensor<?x32xf32>
}

// -----

// A sum over columns keeps a partial sum in each lane; the number that is made of it is held in all lanes.
// CHECK-LABEL: func.func @norm_of_rows
// CHECK:       func.func @norm_0_b0(
// CHECK-SAME:    %[[X:.*]]: tensor<?x6xvector<16xf32>>, %[[W:.*]]: tensor<6xvector<16xf32>>, %[[Y:.*]]: tensor<?x6xvector<16xf32>>)
// CHECK:         linalg.generic {{.*}} ["parallel", "parallel", "reduction"]} ins(%{{.*}} : tensor<?x1x6xvector<16xf32>>) outs(%{{.*}} : tensor<?x1xvector<16xf32>>)
// CHECK:           math.fma {{.*}} : vector<16xf32>
// CHECK:         linalg.generic {{.*}} ["parallel", "parallel"]}
// CHECK:           %[[SUM:.*]] = vector.reduction <add>, %{{.*}} : vector<16xf32> into f32
// CHECK:           %[[MEAN:.*]] = arith.mulf %[[SUM]]
// CHECK:           math.sqrt
// CHECK:           vector.broadcast {{.*}} : f32 to vector<16xf32>
// CHECK:         linalg.generic {{.*}} ["parallel", "parallel", "parallel"]}
// CHECK:         } -> tensor<?x1x6xvector<16xf32>>
func.func @norm_of_rows(%x: tensor<?x96xf32>, %w: tensor<96xf32>) -> tensor<?x96xf32> {
  %0 = transformer.kernel "norm" (%a = %x : tensor<?x96xf32>, %n = %w : tensor<96xf32>) -> (tensor<?x96xf32>) {
    %1 = transformer.rms_norm %a, %n {eps = 1.0e-5 : f64} : tensor<?x96xf32>, tensor<96xf32>
    transformer.yield %1 : tensor<?x96xf32>
  }
  return %0 : tensor<?x96xf32>
}

// -----

!a = tensor<?x2x!transformer.activation<q8>>
!w = tensor<32x2x!transformer.block<q4_1>>

// What is made of each number of a product takes its place: bias and soft-cap need no tiles of their own.
// CHECK-LABEL: func.func @capped_logits
// CHECK:       func.func @logits_0_b0(
// CHECK-SAME:    %[[B:[a-z0-9]*]]: tensor<?xvector<16xf32>>, %[[Y:[a-z0-9]*]]: tensor<?x1x?xvector<16xf32>>)
// CHECK-SAME:    arguments = {{.*}}[1 by 1, whole], [0 by 1, whole], [0 by 1], [1 by 1, whole, 0 by 1]]>
// CHECK-NOT:     tensor.empty
// CHECK:         %[[DOT:.*]] = linalg.generic {{.*}} "reduction"]}
// CHECK:         %[[SUM:.*]] = linalg.generic {{.*}} ins(%[[B]] : tensor<?xvector<16xf32>>) outs(%[[DOT]] : tensor<?x1x?xvector<16xf32>>)
// CHECK:           arith.addf
// CHECK:         linalg.generic {{.*}} outs(%[[SUM]] : tensor<?x1x?xvector<16xf32>>)
// CHECK:           math.tanh
func.func @capped_logits(%x: !a, %m: !w, %bias: tensor<32xf32>) -> tensor<?x32xf32> {
  %0 = transformer.kernel "logits" (%a = %x : !a, %n = %m : !w, %b = %bias : tensor<32xf32>) -> (tensor<?x32xf32>) {
    %1 = transformer.logits %a, %n, %b {scale = 0.5 : f64, softcap = 7.0 : f64} : (!a, !w, tensor<32xf32>) -> tensor<?x32xf32>
    transformer.yield %1 : tensor<?x32xf32>
  }
  return %0 : tensor<?x32xf32>
}

// -----

func.func @sum_read_as_columns(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
  %0 = transformer.kernel "odd" (%a = %x : tensor<?x32xf32>) -> (tensor<?x32xf32>) {
    %c0 = arith.constant 0 : index
    %zero = arith.constant 0.0 : f32
    %n = tensor.dim %a, %c0 : tensor<?x32xf32>
    %1 = tensor.empty(%n) : tensor<?xf32>
    %2 = linalg.fill ins(%zero : f32) outs(%1 : tensor<?xf32>) -> tensor<?xf32>
    %3 = linalg.generic {indexing_maps = [affine_map<(t, c) -> (t, c)>, affine_map<(t, c) -> (t)>], iterator_types = ["parallel", "reduction"]} ins(%a : tensor<?x32xf32>) outs(%2 : tensor<?xf32>) {
    ^bb0(%p: f32, %q: f32):
      %s = arith.addf %p, %q : f32
      linalg.yield %s : f32
    } -> tensor<?xf32>
    %4 = tensor.empty(%n) : tensor<?x32xf32>
    // expected-error @+1 {{expects the number that a sum over columns is made into, but reads the sum itself}}
    %5 = linalg.generic {indexing_maps = [affine_map<(t, c) -> (t, c)>, affine_map<(t, c) -> (t)>, affine_map<(t, c) -> (t, c)>], iterator_types = ["parallel", "parallel"]} ins(%a, %3 : tensor<?x32xf32>, tensor<?xf32>) outs(%4 : tensor<?x32xf32>) {
    ^bb0(%p: f32, %q: f32, %r: f32):
      %s = arith.mulf %p, %q : f32
      linalg.yield %s : f32
    } -> tensor<?x32xf32>
    transformer.yield %5 : tensor<?x32xf32>
  }
  return %0 : tensor<?x32xf32>
}

// -----

func.func @largest_of_columns(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
  %0 = transformer.kernel "odd" (%a = %x : tensor<?x32xf32>) -> (tensor<?x32xf32>) {
    %c0 = arith.constant 0 : index
    %n = tensor.dim %a, %c0 : tensor<?x32xf32>
    %1 = tensor.empty(%n) : tensor<?xf32>
    // expected-error @+1 {{expects no reduction but a sum over columns that begins with zero inside a kernel}}
    %3 = linalg.generic {indexing_maps = [affine_map<(t, c) -> (t, c)>, affine_map<(t, c) -> (t)>], iterator_types = ["parallel", "reduction"]} ins(%a : tensor<?x32xf32>) outs(%1 : tensor<?xf32>) {
    ^bb0(%p: f32, %q: f32):
      %s = arith.maximumf %p, %q : f32
      linalg.yield %s : f32
    } -> tensor<?xf32>
    transformer.yield %a : tensor<?x32xf32>
  }
  return %0 : tensor<?x32xf32>
}

// -----

func.func @sum_that_begins_with_seven(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
  %0 = transformer.kernel "odd" (%a = %x : tensor<?x32xf32>) -> (tensor<?x32xf32>) {
    %c0 = arith.constant 0 : index
    %n = tensor.dim %a, %c0 : tensor<?x32xf32>
    %seven = arith.constant 7.0 : f32
    %e = tensor.empty(%n) : tensor<?xf32>
    %1 = linalg.fill ins(%seven : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
    // expected-error @+1 {{expects no reduction but a sum over columns that begins with zero inside a kernel}}
    %2 = linalg.generic {indexing_maps = [affine_map<(t, c) -> (t, c)>, affine_map<(t, c) -> (t)>], iterator_types = ["parallel", "reduction"]} ins(%a : tensor<?x32xf32>) outs(%1 : tensor<?xf32>) {
    ^bb0(%p: f32, %q: f32):
      %s = arith.addf %p, %q : f32
      linalg.yield %s : f32
    } -> tensor<?xf32>
    transformer.yield %a : tensor<?x32xf32>
  }
  return %0 : tensor<?x32xf32>
}

// -----

func.func @body_that_reads_outside(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
  %0 = transformer.kernel "odd" (%a = %x : tensor<?x32xf32>) -> (tensor<?x32xf32>) {
    %c0 = arith.constant 0 : index
    %n = tensor.dim %a, %c0 : tensor<?x32xf32>
    %seven = arith.constant 7.0 : f32
    %1 = tensor.empty(%n) : tensor<?x32xf32>
    // expected-error @+1 {{expects a body that computes from the operands alone inside a kernel}}
    %2 = linalg.generic {indexing_maps = [affine_map<(t, c) -> (t, c)>, affine_map<(t, c) -> (t, c)>], iterator_types = ["parallel", "parallel"]} ins(%a : tensor<?x32xf32>) outs(%1 : tensor<?x32xf32>) {
    ^bb0(%p: f32, %q: f32):
      %s = arith.mulf %p, %seven : f32
      linalg.yield %s : f32
    } -> tensor<?x32xf32>
    transformer.yield %a : tensor<?x32xf32>
  }
  return %0 : tensor<?x32xf32>
}

// -----

func.func @body_that_reads_what_it_writes(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
  %0 = transformer.kernel "odd" (%a = %x : tensor<?x32xf32>) -> (tensor<?x32xf32>) {
    %c0 = arith.constant 0 : index
    %n = tensor.dim %a, %c0 : tensor<?x32xf32>
    %1 = tensor.empty(%n) : tensor<?x32xf32>
    // expected-error @+1 {{expects a body that computes from the operands alone inside a kernel}}
    %2 = linalg.generic {indexing_maps = [affine_map<(t, c) -> (t, c)>, affine_map<(t, c) -> (t, c)>], iterator_types = ["parallel", "parallel"]} ins(%a : tensor<?x32xf32>) outs(%1 : tensor<?x32xf32>) {
    ^bb0(%p: f32, %q: f32):
      %s = arith.mulf %p, %q : f32
      linalg.yield %s : f32
    } -> tensor<?x32xf32>
    transformer.yield %a : tensor<?x32xf32>
  }
  return %0 : tensor<?x32xf32>
}

// -----

func.func @columns_that_become_rows(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
  %0 = transformer.kernel "odd" (%a = %x : tensor<?x32xf32>) -> (tensor<?x32xf32>) {
    %c0 = arith.constant 0 : index
    %n = tensor.dim %a, %c0 : tensor<?x32xf32>
    %1 = tensor.empty(%n) : tensor<32x?xf32>
    // expected-error @+1 {{expects columns that stay the last dimension inside a kernel}}
    %2 = linalg.generic {indexing_maps = [affine_map<(t, c) -> (t, c)>, affine_map<(t, c) -> (c, t)>], iterator_types = ["parallel", "parallel"]} ins(%a : tensor<?x32xf32>) outs(%1 : tensor<32x?xf32>) {
    ^bb0(%p: f32, %q: f32):
      linalg.yield %p : f32
    } -> tensor<32x?xf32>
    transformer.yield %a : tensor<?x32xf32>
  }
  return %0 : tensor<?x32xf32>
}

// -----

func.func @operation_of_the_program(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
  %0 = transformer.kernel "odd" (%a = %x : tensor<?x32xf32>) -> (tensor<?x32xf32>) {
    // expected-error @+1 {{expects an operation that has a packed form inside a kernel}}
    %1 = transformer.dispatch @other(%a) sources [0, 0] dims [array<i64: -1, 2>] : (tensor<?x32xf32>) -> tensor<?x32xf32>
    transformer.yield %1 : tensor<?x32xf32>
  }
  return %0 : tensor<?x32xf32>
}

// -----

!cache = !transformer.cache<heads = 3, key = 16, value = 16, element = f16>

// Sinks are cut as query heads are: a tile has those that share its cache head.
// CHECK-LABEL: func.func @sinks_of_a_tile
// CHECK: func.func @attention_0_b0(
// CHECK-SAME: arguments = {{\[\[}}1 by 1, 0 by 2], [whole, 0 by 1, whole, whole, whole], [whole, 0 by 1, whole, whole], [1 by 1], [1 by 1],
// CHECK-SAME: [whole, whole], [0 by 2], [1 by 1, 0 by 2]]>
// CHECK: tile.attend
func.func @sinks_of_a_tile(%q: tensor<?x96xf32>, %batch: !transformer.batch, %cache: !cache, %sinks: tensor<6xf32>) -> tensor<?x96xf32> {
  %0 = transformer.kernel "attention" (%x = %q : tensor<?x96xf32>, %c = %cache : !cache, %b = %batch : !transformer.batch, %s = %sinks : tensor<6xf32>) -> (tensor<?x96xf32>) {
    %1 = transformer.attention %x, %b, %c, %s {scale = 0.25 : f64}
        : (tensor<?x96xf32>, !transformer.batch, !cache, tensor<6xf32>) -> tensor<?x96xf32>
    transformer.yield %1 : tensor<?x96xf32>
  }
  return %0 : tensor<?x96xf32>
}

// -----

!a = tensor<?x1x!transformer.activation<q8>>
!w = tensor<96x1x!transformer.block<q4_1>>

// A tile is of a token, a rank and rows of a weight, which the token's ids choose: one function for all buckets.
// CHECK-LABEL: func.func @experts
// CHECK: transformer.dispatch @expert_linear_0({{.*}} dims [array<i64: -1, 1>, array<i64: -1, 2>, array<i64: 3, 2, 1>, array<i64: -1, 2, 2>]
// CHECK: func.func @expert_linear_0_b0(%{{.*}}: tensor<?x?x!transformer.activation<q8>>, %[[IDS:.*]]: tensor<?x?xi32>,
// CHECK-SAME: %[[W:.*]]: tensor<?x?x?x!transformer.block<q4_1, rows = 16>>
// CHECK-SAME: tile.any_tile
// CHECK-SAME: parts = {{\[\[}}1, 2, 0]], arguments = {{\[\[}}1 by 1, whole], [1 by 1, 2 by 1], [whole, 0 by 1, whole], [1 by 1, 2 by 1, 0 by 1]]
// CHECK: %[[ID:.*]] = tensor.extract %[[IDS]]
// CHECK: %[[NUMBER:.*]] = arith.index_cast %[[ID]]
// CHECK: %[[EXPERT:.*]] = arith.minui %[[NUMBER]]
// CHECK: tensor.extract_slice %[[W]][%[[EXPERT]], 0, 0]
// CHECK: tile.block_dot
// CHECK-NOT: func.func
func.func @experts(%a: !a, %i: tensor<?x2xi32>, %w: !w) -> tensor<?x64xf32> {
  %0 = transformer.kernel "expert_linear" (%x = %a : !a, %j = %i : tensor<?x2xi32>, %m = %w : !w) -> (tensor<?x64xf32>) {
    %1 = transformer.expert_linear %x, %j, %m {experts = 3 : i64} : (!a, tensor<?x2xi32>, !w) -> tensor<?x64xf32>
    transformer.yield %1 : tensor<?x64xf32>
  }
  return %0 : tensor<?x64xf32>
}

// -----

// What is not causal sees up to the last position of its sequence: part 3 of the batch, in place of its own, part 0.
// CHECK-LABEL: func.func @sees_all
// CHECK: transformer.dispatch @attention_0({{.*}}) sources [0, 0, 1, 3, 1, 1, 1, 2, 2, 0, 2, 1, 3, 0]
// CHECK: tile.attend
func.func @sees_all(%q: tensor<?x32xf32>, %batch: !transformer.batch, %c: !transformer.cache<heads = 1, key = 32, value = 32, element = f16>) -> tensor<?x32xf32> {
  %0 = transformer.kernel "attention" (%x = %q : tensor<?x32xf32>, %b = %batch : !transformer.batch, %k = %c : !transformer.cache<heads = 1, key = 32, value = 32, element = f16>) -> (tensor<?x32xf32>) {
    %1 = transformer.attention %x, %b, %k {scale = 0.25 : f64, causal = false} : (tensor<?x32xf32>, !transformer.batch, !transformer.cache<heads = 1, key = 32, value = 32, element = f16>) -> tensor<?x32xf32>
    transformer.yield %1 : tensor<?x32xf32>
  }
  return %0 : tensor<?x32xf32>
}

// -----

func.func @rows_of_two_experts_in_a_tile(%a: tensor<?x1x!transformer.activation<q8>>, %i: tensor<?x2xi32>, %w: tensor<16x1x!transformer.block<q4_1>>) -> tensor<?x16xf32> {
  %0 = transformer.kernel "expert_linear" (%x = %a : tensor<?x1x!transformer.activation<q8>>, %j = %i : tensor<?x2xi32>, %m = %w : tensor<16x1x!transformer.block<q4_1>>) -> (tensor<?x16xf32>) {
    // expected-error @+1 {{expects experts of rows in multiples of 16, but got 8}}
    %1 = transformer.expert_linear %x, %j, %m {experts = 2 : i64} : (tensor<?x1x!transformer.activation<q8>>, tensor<?x2xi32>, tensor<16x1x!transformer.block<q4_1>>) -> tensor<?x16xf32>
    transformer.yield %1 : tensor<?x16xf32>
  }
  return %0 : tensor<?x16xf32>
}

// -----

func.func @window_that_sees_all(%q: tensor<?x32xf32>, %batch: !transformer.batch, %c: !transformer.cache<heads = 1, key = 32, value = 32, element = f16>) -> tensor<?x32xf32> {
  %0 = transformer.kernel "attention" (%x = %q : tensor<?x32xf32>, %b = %batch : !transformer.batch, %k = %c : !transformer.cache<heads = 1, key = 32, value = 32, element = f16>) -> (tensor<?x32xf32>) {
    // expected-error @+1 {{expects causal attention where there is a window}}
    %1 = transformer.attention %x, %b, %k {scale = 0.25 : f64, causal = false, window = 7 : i64} : (tensor<?x32xf32>, !transformer.batch, !transformer.cache<heads = 1, key = 32, value = 32, element = f16>) -> tensor<?x32xf32>
    transformer.yield %1 : tensor<?x32xf32>
  }
  return %0 : tensor<?x32xf32>
}
