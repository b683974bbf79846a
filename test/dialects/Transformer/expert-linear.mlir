// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

!w = tensor<40x1x!transformer.block<q4_1>>

// C1
func.func @x_is_not_f32(%x: tensor<?x32xf16>, %i: tensor<?x2xi32>, %w: !w) {
  // expected-error @+1 {{operand #0 must be f32 tensor of tokens x columns with a static number of columns, or its activation blocks, but got 'tensor<?x32xf16>'}}
  %y = transformer.expert_linear %x, %i, %w {experts = 5 : i64} : (tensor<?x32xf16>, tensor<?x2xi32>, !w) -> tensor<?x16xf32>
  return
}

// -----

!w = tensor<40x1x!transformer.block<q4_1>>

// C2
func.func @ids_of_any_rank(%x: tensor<?x32xf32>, %i: tensor<?x?xi32>, %w: !w) {
  // expected-error @+1 {{operand #1 must be i32 tensor of tokens x ranks with a static number of ranks, but got 'tensor<?x?xi32>'}}
  %y = transformer.expert_linear %x, %i, %w {experts = 5 : i64} : (tensor<?x32xf32>, tensor<?x?xi32>, !w) -> tensor<?x16xf32>
  return
}

// -----

// C3
func.func @weight_is_not_blocks(%x: tensor<?x32xf32>, %i: tensor<?x2xi32>, %w: tensor<40x32xf32>) {
  // expected-error @+1 {{operand #2 must be static tensor of out x blocks of !transformer.block with rows = 1, but got 'tensor<40x32xf32>'}}
  %y = transformer.expert_linear %x, %i, %w {experts = 5 : i64} : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<40x32xf32>) -> tensor<?x16xf32>
  return
}

// -----

!w = tensor<40x1x!transformer.block<q4_1>>

// C4
func.func @result_has_rank_1(%x: tensor<?x32xf32>, %i: tensor<?x2xi32>, %w: !w) {
  // expected-error @+1 {{result #0 must be f32 tensor of tokens x columns with a static number of columns, but got 'tensor<16xf32>'}}
  %y = transformer.expert_linear %x, %i, %w {experts = 5 : i64} : (tensor<?x32xf32>, tensor<?x2xi32>, !w) -> tensor<16xf32>
  return
}

// -----

!w = tensor<40x1x!transformer.block<q4_1>>

// C5
func.func @experts_share_a_row(%x: tensor<?x32xf32>, %i: tensor<?x2xi32>, %w: !w) {
  // expected-error @+1 {{expects a number of experts that divides the weight's 40 rows, but got 7}}
  %y = transformer.expert_linear %x, %i, %w {experts = 7 : i64} : (tensor<?x32xf32>, tensor<?x2xi32>, !w) -> tensor<?x16xf32>
  return
}

// -----

!w = tensor<40x1x!transformer.block<q4_1>>

// C6
func.func @other_columns(%x: tensor<?x64xf32>, %i: tensor<?x2xi32>, %w: !w) {
  // expected-error @+1 {{expects x of 1 times the weight's 32 columns, but got 64}}
  %y = transformer.expert_linear %x, %i, %w {experts = 5 : i64} : (tensor<?x64xf32>, tensor<?x2xi32>, !w) -> tensor<?x16xf32>
  return
}

// -----

!w = tensor<40x1x!transformer.block<q4_1>>

// C6
func.func @columns_of_one_rank(%x: tensor<?x1x!transformer.activation<q8>>, %i: tensor<?x2xi32>, %w: !w) {
  // expected-error @+1 {{expects x of 2 times the weight's 32 columns, but got 32}}
  %y = transformer.expert_linear %x, %i, %w by_rank {experts = 5 : i64}
      : (tensor<?x1x!transformer.activation<q8>>, tensor<?x2xi32>, !w) -> tensor<?x16xf32>
  return
}

// -----

!w = tensor<40x1x!transformer.block<q4_1>>

// C7
func.func @result_of_one_rank(%x: tensor<?x32xf32>, %i: tensor<?x2xi32>, %w: !w) {
  // expected-error @+1 {{expects a result of 16 columns, but got 8}}
  %y = transformer.expert_linear %x, %i, %w {experts = 5 : i64} : (tensor<?x32xf32>, tensor<?x2xi32>, !w) -> tensor<?x8xf32>
  return
}

// -----

!w = tensor<40x1x!transformer.block<q4_1>>

// C8
func.func @other_tokens(%x: tensor<2x32xf32>, %i: tensor<3x2xi32>, %w: !w) {
  // expected-error @+1 {{expects x, ids and result of as many tokens}}
  %y = transformer.expert_linear %x, %i, %w {experts = 5 : i64} : (tensor<2x32xf32>, tensor<3x2xi32>, !w) -> tensor<2x16xf32>
  return
}

// -----

!w = tensor<40x1x!transformer.block<q4_1>>

// C9
func.func @bias_of_one_expert(%x: tensor<?x32xf32>, %i: tensor<?x2xi32>, %w: !w, %b: tensor<8xf32>) {
  // expected-error @+1 {{expects a bias of 40 elements, but got 8}}
  %y = transformer.expert_linear %x, %i, %w, %b {experts = 5 : i64}
      : (tensor<?x32xf32>, tensor<?x2xi32>, !w, tensor<8xf32>) -> tensor<?x16xf32>
  return
}
