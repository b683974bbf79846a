// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

!cache = !transformer.cache<heads = 2, key = 4, value = 8, element = f16>

// C1
func.func @k_is_not_f32(%k: tensor<?x8xf16>, %v: tensor<?x16xf32>, %batch: !transformer.batch, %cache: !cache) {
  // expected-error @+1 {{operand #0 must be f32 tensor of tokens x columns with a static number of columns, but got 'tensor<?x8xf16>'}}
  %y = transformer.kv_append %k, %v, %batch, %cache : tensor<?x8xf16>, tensor<?x16xf32>, !cache
  return
}

// -----

!cache = !transformer.cache<heads = 2, key = 4, value = 8, element = f16>

// C2
func.func @k_has_other_columns(%k: tensor<?x12xf32>, %v: tensor<?x16xf32>, %batch: !transformer.batch, %cache: !cache) {
  // expected-error @+1 {{expects k of 8 columns, but got 12}}
  %y = transformer.kv_append %k, %v, %batch, %cache : tensor<?x12xf32>, tensor<?x16xf32>, !cache
  return
}

// -----

!cache = !transformer.cache<heads = 2, key = 4, value = 8, element = f16>

// C3
func.func @v_has_other_columns(%k: tensor<?x8xf32>, %v: tensor<?x8xf32>, %batch: !transformer.batch, %cache: !cache) {
  // expected-error @+1 {{expects v of 16 columns, but got 8}}
  %y = transformer.kv_append %k, %v, %batch, %cache : tensor<?x8xf32>, tensor<?x8xf32>, !cache
  return
}

// -----

!cache = !transformer.cache<heads = 2, key = 4, value = 8, element = f16>

// C4
func.func @v_has_other_tokens(%k: tensor<2x8xf32>, %v: tensor<3x16xf32>, %batch: !transformer.batch, %cache: !cache) {
  // expected-error @+1 {{expects v of 2 tokens, but got 3}}
  %y = transformer.kv_append %k, %v, %batch, %cache : tensor<2x8xf32>, tensor<3x16xf32>, !cache
  return
}
