// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

// C1
func.func @operand_is_not_f32(%a: tensor<?x8xf16>) {
  // expected-error @+1 {{operand #0 must be f32 tensor of tokens x columns with a static number of columns, but got 'tensor<?x8xf16>'}}
  %y = transformer.add %a, %a : tensor<?x8xf16>
  return
}

// -----

// C2
func.func @operands_have_other_types(%a: tensor<?x8xf32>, %b: tensor<?x16xf32>) {
  // expected-error @+1 {{op requires the same type for all operands and results}}
  %y = "transformer.add"(%a, %b) : (tensor<?x8xf32>, tensor<?x16xf32>) -> tensor<?x8xf32>
  return
}

// -----

// C3
func.func @scale_is_not_finite(%a: tensor<?x8xf32>) {
  // expected-error @+1 {{op expects a finite scale, but got}}
  %y = transformer.add %a, %a {scale = 0x7FF0000000000000 : f64} : tensor<?x8xf32>
  return
}
