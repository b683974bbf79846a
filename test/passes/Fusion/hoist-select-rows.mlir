// RUN: stepdown-opt %s -split-input-file -hoist-select-rows | FileCheck %s

!rows = tensor<?x32xf32>
!cache = !transformer.cache<heads = 1, key = 32, value = 32, element = f16>
!w = tensor<32x1x!transformer.block<q8_0>>

// The first layer stays; what follows the attention of the last, not what is in front of it, takes the wanted rows.
// CHECK-LABEL: func.func @layer(
// CHECK-NOT: select_rows
// CHECK: return
// CHECK-LABEL: func.func @layer_last(
// CHECK-SAME: %[[X:.*]]: tensor<?x32xf32>, %{{.*}}: !transformer.batch, %{{.*}}: !transformer.cache<{{.*}}>, %[[ROWS:.*]]: tensor<?xi32>)
// CHECK: %[[Q:.*]] = transformer.linear %[[X]], %{{.*}}
// CHECK: %[[A:.*]] = transformer.attention %[[Q]],
// CHECK: %[[SA:.*]] = transformer.select_rows %[[A]], %[[ROWS]]
// CHECK: %[[SX:.*]] = transformer.select_rows %[[X]], %[[ROWS]]
// CHECK: %[[O:.*]] = transformer.linear %[[SA]], %{{.*}}
// CHECK: %[[SUM:.*]] = transformer.add %[[SX]], %[[O]]
// CHECK-NOT: select_rows
// CHECK: %[[GATED:.*]] = transformer.gated_activation silu %[[SUM]], %[[SUM]]
// CHECK: return %[[GATED]]
func.func @layer(%x: !rows, %batch: !transformer.batch, %cache: !cache) -> (!rows, !cache) {
  %w = transformer.weight "blk.{layer}.w" : !w
  %q = transformer.linear %x, %w : (!rows, !w) -> !rows
  %a = transformer.attention %q, %batch, %cache {scale = 0.25 : f64} : (!rows, !transformer.batch, !cache) -> !rows
  %0 = transformer.linear %a, %w : (!rows, !w) -> !rows
  %1 = transformer.add %x, %0 : !rows
  %2 = transformer.gated_activation silu %1, %1 : !rows
  return %2, %cache : !rows, !cache
}
// CHECK-LABEL: @step
// CHECK: %[[LAST:.*]] = transformer.layers %arg0, %arg2 rows %arg1 : tensor<?xi32> kinds [@layer, @layer_last] order [0, 1] : tensor<?x32xf32>
// CHECK-NEXT: return %[[LAST]]
func.func @step(%x: !rows, %rows: tensor<?xi32>, %batch: !transformer.batch) -> !rows {
  %0 = transformer.layers %x, %batch kinds [@layer] order [0, 0] : !rows
  %1 = transformer.select_rows %0, %rows : (!rows, tensor<?xi32>) -> !rows
  return %1 : !rows
}

// -----

!rows = tensor<?x32xf32>
!cache = !transformer.cache<heads = 1, key = 32, value = 32, element = f16>
!w = tensor<32x1x!transformer.block<q8_0>>

// The last layer is the only one of its kind: no copy of it is made.
// CHECK-LABEL: func.func @last(
// CHECK-COUNT-2: transformer.select_rows
// CHECK-NOT: func.func @last_
// CHECK-LABEL: @step
// CHECK: transformer.layers %{{.*}}, %{{.*}} rows %{{.*}} kinds [@last] order [0]
func.func @last(%x: !rows, %batch: !transformer.batch, %cache: !cache) -> (!rows, !cache) {
  %w = transformer.weight "blk.{layer}.w" : !w
  %a = transformer.attention %x, %batch, %cache {scale = 0.25 : f64} : (!rows, !transformer.batch, !cache) -> !rows
  %0 = transformer.linear %a, %w : (!rows, !w) -> !rows
  %y = transformer.add %x, %0 : !rows
  return %y, %cache : !rows, !cache
}
func.func @step(%x: !rows, %rows: tensor<?xi32>, %batch: !transformer.batch) -> !rows {
  %0 = transformer.layers %x, %batch kinds [@last] order [0] : !rows
  %1 = transformer.select_rows %0, %rows : (!rows, tensor<?xi32>) -> !rows
  return %1 : !rows
}

// -----

!rows = tensor<?x32xf32>
!cache = !transformer.cache<heads = 1, key = 32, value = 32, element = f16>
!w = tensor<32x1x!transformer.block<q8_0>>

// Nothing to save, or something else reads all rows: the selection stays.
// CHECK-LABEL: func.func @sum(
// CHECK-NOT: select_rows
// CHECK-LABEL: @step
// CHECK: transformer.layers %{{.*}}, %{{.*}} kinds [@sum] order [0]
// CHECK: transformer.select_rows
func.func @sum(%x: !rows, %batch: !transformer.batch, %cache: !cache) -> (!rows, !cache) {
  %a = transformer.attention %x, %batch, %cache {scale = 0.25 : f64} : (!rows, !transformer.batch, !cache) -> !rows
  %1 = transformer.add %x, %a : !rows
  return %1, %cache : !rows, !cache
}
func.func @step(%x: !rows, %rows: tensor<?xi32>, %batch: !transformer.batch) -> !rows {
  %0 = transformer.layers %x, %batch kinds [@sum] order [0] : !rows
  %1 = transformer.select_rows %0, %rows : (!rows, tensor<?xi32>) -> !rows
  return %1 : !rows
}

// -----

!rows = tensor<?x32xf32>
!cache = !transformer.cache<heads = 1, key = 32, value = 32, element = f16>
!w = tensor<32x1x!transformer.block<q8_0>>

// CHECK-LABEL: func.func @layer(
// CHECK-NOT: select_rows
// CHECK-LABEL: @step
// CHECK: kinds [@layer] order [0]
func.func @layer(%x: !rows, %batch: !transformer.batch, %cache: !cache) -> (!rows, !cache) {
  %w = transformer.weight "blk.{layer}.w" : !w
  %a = transformer.attention %x, %batch, %cache {scale = 0.25 : f64} : (!rows, !transformer.batch, !cache) -> !rows
  %0 = transformer.linear %a, %w : (!rows, !w) -> !rows
  return %0, %cache : !rows, !cache
}
func.func @step(%x: !rows, %rows: tensor<?xi32>, %batch: !transformer.batch) -> (!rows, !rows) {
  %0 = transformer.layers %x, %batch kinds [@layer] order [0] : !rows
  %1 = transformer.select_rows %0, %rows : (!rows, tensor<?xi32>) -> !rows
  return %0, %1 : !rows, !rows
}

// -----

!rows = tensor<?x32xf32>
!cache = !transformer.cache<heads = 1, key = 32, value = 32, element = f16>
!w = tensor<32x1x!transformer.block<q8_0>>

// An encoder's rows are the result, and most are wanted: there is nothing to save.
// CHECK-LABEL: func.func @encoder(
// CHECK-NOT: select_rows
// CHECK-LABEL: @step
// CHECK: kinds [@encoder] order [0]
// CHECK: transformer.select_rows
func.func @encoder(%x: !rows, %batch: !transformer.batch, %cache: !cache) -> (!rows, !cache) {
  %w = transformer.weight "blk.{layer}.w" : !w
  %a = transformer.attention %x, %batch, %cache {scale = 0.25 : f64, causal = false} : (!rows, !transformer.batch, !cache) -> !rows
  %0 = transformer.linear %a, %w : (!rows, !w) -> !rows
  return %0, %cache : !rows, !cache
}
func.func @step(%x: !rows, %rows: tensor<?xi32>, %batch: !transformer.batch) -> !rows {
  %0 = transformer.layers %x, %batch kinds [@encoder] order [0] : !rows
  %1 = transformer.select_rows %0, %rows : (!rows, tensor<?xi32>) -> !rows
  return %1 : !rows
}

// -----

!rows = tensor<?x32xf32>
!cache = !transformer.cache<heads = 1, key = 32, value = 32, element = f16>
!w = tensor<32x1x!transformer.block<q8_0>>
!experts = tensor<96x1x!transformer.block<q8_0>>

// A tail that chooses its experts takes the wanted rows: their ids are of these rows.
// CHECK-LABEL: func.func @routed(
// CHECK: %[[A:.*]] = transformer.attention
// CHECK: %[[SA:.*]] = transformer.select_rows %[[A]],
// CHECK-NOT: select_rows
// CHECK: transformer.route %[[Z:.*]] {
// CHECK: transformer.expert_linear
// CHECK: transformer.combine_experts
// CHECK: return
func.func @routed(%x: !rows, %batch: !transformer.batch, %cache: !cache) -> (!rows, !cache) {
  %w = transformer.weight "blk.{layer}.w" : !w
  %e = transformer.weight "blk.{layer}.e" : !experts
  %a = transformer.attention %x, %batch, %cache {scale = 0.25 : f64} : (!rows, !transformer.batch, !cache) -> !rows
  %z = transformer.linear %a, %w : (!rows, !w) -> !rows
  %ids, %weights = transformer.route %z {experts = 3 : i64, used = 2 : i64} : !rows -> tensor<?x2xi32>, tensor<?x2xf32>
  %y = transformer.expert_linear %a, %ids, %e {experts = 3 : i64} : (!rows, tensor<?x2xi32>, !experts) -> tensor<?x64xf32>
  %0 = transformer.combine_experts %y, %weights : (tensor<?x64xf32>, tensor<?x2xf32>) -> !rows
  return %0, %cache : !rows, !cache
}
// CHECK-LABEL: @step
// CHECK: transformer.layers %{{.*}}, %{{.*}} rows %{{.*}} kinds [@routed]
func.func @step(%x: !rows, %rows: tensor<?xi32>, %batch: !transformer.batch) -> !rows {
  %0 = transformer.layers %x, %batch kinds [@routed] order [0] : !rows
  %1 = transformer.select_rows %0, %rows : (!rows, tensor<?xi32>) -> !rows
  return %1 : !rows
}

// -----

!rows = tensor<?x32xf32>
!cache = !transformer.cache<heads = 1, key = 32, value = 32, element = f16>
!w = tensor<32x1x!transformer.block<q8_0>>
!experts = tensor<96x1x!transformer.block<q8_0>>

// Experts that something in front of the tail reads as well are chosen for all rows: the selection stays.
// CHECK-LABEL: func.func @routed_before(
// CHECK-NOT: select_rows
// CHECK-LABEL: @step
// CHECK: transformer.layers %{{.*}}, %{{.*}} kinds [@routed_before]
// CHECK: transformer.select_rows
func.func @routed_before(%x: !rows, %batch: !transformer.batch, %cache: !cache) -> (!rows, !cache) {
  %w = transformer.weight "blk.{layer}.w" : !w
  %e = transformer.weight "blk.{layer}.e" : !experts
  %ids, %weights = transformer.route %x {experts = 3 : i64, used = 2 : i64} : !rows -> tensor<?x2xi32>, tensor<?x2xf32>
  %q = transformer.expert_linear %x, %ids, %e {experts = 3 : i64} : (!rows, tensor<?x2xi32>, !experts) -> tensor<?x64xf32>
  %s = transformer.combine_experts %q, %weights : (tensor<?x64xf32>, tensor<?x2xf32>) -> !rows
  %a = transformer.attention %s, %batch, %cache {scale = 0.25 : f64} : (!rows, !transformer.batch, !cache) -> !rows
  %y = transformer.expert_linear %a, %ids, %e {experts = 3 : i64} : (!rows, tensor<?x2xi32>, !experts) -> tensor<?x64xf32>
  %0 = transformer.combine_experts %y, %weights : (tensor<?x64xf32>, tensor<?x2xf32>) -> !rows
  %1 = transformer.linear %0, %w : (!rows, !w) -> !rows
  return %1, %cache : !rows, !cache
}
func.func @step(%x: !rows, %rows: tensor<?xi32>, %batch: !transformer.batch) -> !rows {
  %0 = transformer.layers %x, %batch kinds [@routed_before] order [0] : !rows
  %1 = transformer.select_rows %0, %rows : (!rows, tensor<?xi32>) -> !rows
  return %1 : !rows
}
