// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

// C1
func.func @operand_is_not_f32(%a: tensor<?x8xf16>) {
  // expected-error @+1 {{operand #0 must be f32 tensor of tokens x columns with a static number of columns, but got 'tensor<?x8xf16>'}}
  %y = transformer.activation gelu_erf %a : tensor<?x8xf16>
  return
}

// -----

// C2
func.func @result_has_another_type(%a: tensor<?x8xf32>) {
  // expected-error @+1 {{op requires the same type for all operands and results}}
  %y = "transformer.activation"(%a) {kind = #transformer<gate silu>} : (tensor<?x8xf32>) -> tensor<?x16xf32>
  return
}
