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
