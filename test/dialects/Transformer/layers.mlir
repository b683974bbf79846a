// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

// C1
func.func @x_is_not_f32(%x: tensor<?x8xf16>, %batch: !transformer.batch) {
  // expected-error @+1 {{operand #0 must be f32 tensor of tokens x columns with a static number of columns, but got 'tensor<?x8xf16>'}}
  %y = transformer.layers %x, %batch kinds [@kind] order [0] : tensor<?x8xf16>
  return
}

// -----

// C2
func.func @no_layer(%x: tensor<?x8xf32>, %batch: !transformer.batch) {
  // expected-error @+1 {{expects at least one layer}}
  %y = transformer.layers %x, %batch kinds [@kind] order [] : tensor<?x8xf32>
  return
}

// -----

// C3
func.func @order_past_the_kinds(%x: tensor<?x8xf32>, %batch: !transformer.batch) {
  // expected-error @+1 {{expects order to index 1 kinds, but got 1}}
  %y = transformer.layers %x, %batch kinds [@kind] order [0, 1] : tensor<?x8xf32>
  return
}

// -----

// C4
func.func @kind_never_applied(%x: tensor<?x8xf32>, %batch: !transformer.batch) {
  // expected-error @+1 {{expects every kind to be applied, but @other is not}}
  %y = transformer.layers %x, %batch kinds [@kind, @other] order [0, 0] : tensor<?x8xf32>
  return
}

// -----

// C5
func.func @kind_is_not_a_function(%x: tensor<?x8xf32>, %batch: !transformer.batch) {
  // expected-error @+1 {{expects @missing to name a func.func}}
  %y = transformer.layers %x, %batch kinds [@missing] order [0] : tensor<?x8xf32>
  return
}

// -----

func.func private @kind(tensor<?x8xf32>, !transformer.batch) -> tensor<?x8xf32>

// C6
func.func @kind_returns_no_cache(%x: tensor<?x8xf32>, %batch: !transformer.batch) {
  // expected-error @+1 {{expects @kind of type ('tensor<?x8xf32>', !transformer.batch, !transformer.cache) -> ('tensor<?x8xf32>', the same cache), but got '(tensor<?x8xf32>, !transformer.batch) -> tensor<?x8xf32>'}}
  %y = transformer.layers %x, %batch kinds [@kind] order [0] : tensor<?x8xf32>
  return
}

// -----

func.func private @layer(tensor<?x8xf32>, !transformer.batch, !transformer.cache<heads = 1, key = 8, value = 8, element = f16>) -> (tensor<?x8xf32>, !transformer.cache<heads = 1, key = 8, value = 8, element = f16>)

// C6
func.func @last_takes_no_rows(%x: tensor<?x8xf32>, %batch: !transformer.batch, %rows: tensor<?xi32>) {
  // expected-error @+1 {{expects @layer of type ('tensor<?x8xf32>', !transformer.batch, !transformer.cache, rows) -> ('tensor<?x8xf32>', the same cache), but got}}
  %y = transformer.layers %x, %batch rows %rows : tensor<?xi32> kinds [@layer] order [0] : tensor<?x8xf32>
  return
}

// -----

func.func private @last(tensor<7x8xf32>, !transformer.batch, !transformer.cache<heads = 1, key = 8, value = 8, element = f16>, tensor<?xi32>) -> (tensor<7x8xf32>, !transformer.cache<heads = 1, key = 8, value = 8, element = f16>)

// C7
func.func @rows_of_a_known_number(%x: tensor<7x8xf32>, %batch: !transformer.batch, %rows: tensor<?xi32>) {
  // expected-error @+1 {{expects a dynamic number of tokens with rows, but got 'tensor<7x8xf32>'}}
  %y = transformer.layers %x, %batch rows %rows : tensor<?xi32> kinds [@last] order [0] : tensor<7x8xf32>
  return
}

// -----

func.func private @last(tensor<?x8xf32>, !transformer.batch, !transformer.cache<heads = 1, key = 8, value = 8, element = f16>, tensor<?xi32>) -> (tensor<?x8xf32>, !transformer.cache<heads = 1, key = 8, value = 8, element = f16>)

// C8
func.func @rows_of_two_layers(%x: tensor<?x8xf32>, %batch: !transformer.batch, %rows: tensor<?xi32>) {
  // expected-error @+1 {{expects the last layer alone to be of its kind with rows, but @last is applied 2 times}}
  %y = transformer.layers %x, %batch rows %rows : tensor<?xi32> kinds [@last] order [0, 0] : tensor<?x8xf32>
  return
}
