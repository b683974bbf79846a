// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

// C1
func.func @blocks_of_several_tokens(%x: tensor<?x64xf32>) {
  // expected-error @+1 {{expects a result block of one token for every 32 columns of x}}
  %a = transformer.quantize %x : tensor<?x64xf32> -> tensor<?x2x!transformer.activation<q8, tokens = 16>>
  return
}

// -----

// C1
func.func @too_few_blocks(%x: tensor<?x64xf32>) {
  // expected-error @+1 {{expects a result block of one token for every 32 columns of x}}
  %a = transformer.quantize %x : tensor<?x64xf32> -> tensor<?x1x!transformer.activation<q8>>
  return
}

// -----

// C1
func.func @result_is_not_blocks(%x: tensor<?x64xf32>) {
  // expected-error @+1 {{expects a result block of one token for every 32 columns of x}}
  %a = transformer.quantize %x : tensor<?x64xf32> -> tensor<?x2xf32>
  return
}

// -----

// C1: the last block may hold fewer, and groups leave columns out.
func.func @blocks_that_are_filled_up(%x: tensor<?x43xf32>, %y: tensor<?x48xf32>) {
  %a = transformer.quantize %x : tensor<?x43xf32> -> tensor<?x2x!transformer.activation<q8>>
  %b = transformer.quantize %y groups [10, 16] : tensor<?x48xf32> -> tensor<?x1x!transformer.activation<q8>>
  return
}

// -----

// C2
func.func @groups_that_do_not_divide(%x: tensor<?x40xf32>) {
  // expected-error @+1 {{expects groups [n, m] with 1 <= n <= m and m a divisor of the columns of 'tensor<?x40xf32>' (C2), but got [13, 16]}}
  %a = transformer.quantize %x groups [13, 16] : tensor<?x40xf32> -> tensor<?x1x!transformer.activation<q8>>
  return
}
