// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

!cache = !transformer.cache<heads = 2, key = 4, value = 8, element = f16>

// C1
func.func @q_is_f64(%q: tensor<?x16xf64>, %batch: !transformer.batch, %cache: !cache) {
  // expected-error @+1 {{operand #0 must be f32, f16 or bf16 tensor of tokens x columns with a static number of columns, but got 'tensor<?x16xf64>'}}
  %y = transformer.attention %q, %batch, %cache {scale = 0.5 : f64}
      : (tensor<?x16xf64>, !transformer.batch, !cache) -> tensor<?x32xf32>
  return
}

// -----

!cache = !transformer.cache<heads = 2, key = 4, value = 8, element = f16>

// C2
func.func @sinks_are_dynamic(%q: tensor<?x16xf32>, %batch: !transformer.batch, %cache: !cache, %sinks: tensor<?xf32>) {
  // expected-error @+1 {{operand #3 must be f32 tensor of one static dimension, but got 'tensor<?xf32>'}}
  %y = transformer.attention %q, %batch, %cache, %sinks {scale = 0.5 : f64}
      : (tensor<?x16xf32>, !transformer.batch, !cache, tensor<?xf32>) -> tensor<?x32xf32>
  return
}

// -----

!cache = !transformer.cache<heads = 2, key = 4, value = 8, element = f16>

// C3
func.func @result_has_rank_1(%q: tensor<?x16xf32>, %batch: !transformer.batch, %cache: !cache) {
  // expected-error @+1 {{result #0 must be f32, f16 or bf16 tensor of tokens x columns with a static number of columns, but got 'tensor<32xf32>'}}
  %y = transformer.attention %q, %batch, %cache {scale = 0.5 : f64}
      : (tensor<?x16xf32>, !transformer.batch, !cache) -> tensor<32xf32>
  return
}

// -----

!cache = !transformer.cache<heads = 2, key = 4, value = 8, element = f16>

// C4
func.func @columns_are_not_whole_heads(%q: tensor<?x18xf32>, %batch: !transformer.batch, %cache: !cache) {
  // expected-error @+1 {{expects columns that are a multiple of the cache's key, 4, but got 18}}
  %y = transformer.attention %q, %batch, %cache {scale = 0.5 : f64}
      : (tensor<?x18xf32>, !transformer.batch, !cache) -> tensor<?x32xf32>
  return
}

// -----

!cache = !transformer.cache<heads = 2, key = 4, value = 8, element = f16>

// C5
func.func @query_heads_do_not_share_key_heads(%q: tensor<?x12xf32>, %batch: !transformer.batch, %cache: !cache) {
  // expected-error @+1 {{expects query heads that are a multiple of the cache's 2 heads, but got 3}}
  %y = transformer.attention %q, %batch, %cache {scale = 0.5 : f64}
      : (tensor<?x12xf32>, !transformer.batch, !cache) -> tensor<?x24xf32>
  return
}

// -----

!cache = !transformer.cache<heads = 2, key = 4, value = 8, element = f16>

// C6
func.func @result_has_other_columns(%q: tensor<?x16xf32>, %batch: !transformer.batch, %cache: !cache) {
  // expected-error @+1 {{expects a result of 32 columns, but got 16}}
  %y = transformer.attention %q, %batch, %cache {scale = 0.5 : f64}
      : (tensor<?x16xf32>, !transformer.batch, !cache) -> tensor<?x16xf32>
  return
}

// -----

!cache = !transformer.cache<heads = 2, key = 4, value = 8, element = f16>

// C7
func.func @sinks_have_other_elements(%q: tensor<?x16xf32>, %batch: !transformer.batch, %cache: !cache, %sinks: tensor<2xf32>) {
  // expected-error @+1 {{expects sinks of 4 elements, but got 2}}
  %y = transformer.attention %q, %batch, %cache, %sinks {scale = 0.5 : f64}
      : (tensor<?x16xf32>, !transformer.batch, !cache, tensor<2xf32>) -> tensor<?x32xf32>
  return
}

// -----

!cache = !transformer.cache<heads = 2, key = 4, value = 8, element = f16>

// C8
func.func @result_has_other_tokens(%q: tensor<2x16xf32>, %batch: !transformer.batch, %cache: !cache) {
  // expected-error @+1 {{expects a result of 2 tokens, but got 3}}
  %y = transformer.attention %q, %batch, %cache {scale = 0.5 : f64}
      : (tensor<2x16xf32>, !transformer.batch, !cache) -> tensor<3x32xf32>
  return
}

// -----

!cache = !transformer.cache<heads = 2, key = 4, value = 8, element = f16>

// C9
func.func @scale_is_zero(%q: tensor<?x16xf32>, %batch: !transformer.batch, %cache: !cache) {
  // expected-error @+1 {{expects a finite and positive scale and a finite softcap that is not negative, but got 0.000000e+00 and 0.000000e+00}}
  %y = transformer.attention %q, %batch, %cache {scale = 0.0 : f64}
      : (tensor<?x16xf32>, !transformer.batch, !cache) -> tensor<?x32xf32>
  return
}

// -----

!cache = !transformer.cache<heads = 2, key = 4, value = 8, element = f16>

// C10
func.func @window_is_negative(%q: tensor<?x16xf32>, %batch: !transformer.batch, %cache: !cache) {
  // expected-error @+1 {{expects a window that is not negative, but got -1}}
  %y = transformer.attention %q, %batch, %cache {scale = 0.5 : f64, window = -1 : i64}
      : (tensor<?x16xf32>, !transformer.batch, !cache) -> tensor<?x32xf32>
  return
}

// -----

!cache = !transformer.cache<heads = 2, key = 4, value = 8, element = f16>

// C11
func.func @q_is_not_of_the_cache(%q: tensor<?x16xbf16>, %batch: !transformer.batch, %cache: !cache) {
  // expected-error @+1 {{expects q, cache and result of one element, a result of f32, or q and result of f32, but got 'bf16', 'f16' and 'f32'}}
  %y = transformer.attention %q, %batch, %cache {scale = 0.5 : f64}
      : (tensor<?x16xbf16>, !transformer.batch, !cache) -> tensor<?x32xf32>
  return
}

// -----

!cache = !transformer.cache<heads = 2, key = 4, value = 8, element = f16>

// C11
func.func @result_is_narrower(%q: tensor<?x16xf32>, %batch: !transformer.batch, %cache: !cache) {
  // expected-error @+1 {{expects q, cache and result of one element, a result of f32, or q and result of f32, but got 'f32', 'f16' and 'f16'}}
  %y = transformer.attention %q, %batch, %cache {scale = 0.5 : f64}
      : (tensor<?x16xf32>, !transformer.batch, !cache) -> tensor<?x32xf16>
  return
}

// -----

!cache = !transformer.cache<heads = 2, key = 4, value = 8, element = bf16>

func.func @narrow(%q: tensor<?x16xbf16>, %batch: !transformer.batch, %cache: !cache) -> (tensor<?x32xbf16>, tensor<?x32xf32>) {
  %y = transformer.attention %q, %batch, %cache {scale = 0.5 : f64}
      : (tensor<?x16xbf16>, !transformer.batch, !cache) -> tensor<?x32xbf16>
  %z = transformer.attention %q, %batch, %cache {scale = 0.5 : f64}
      : (tensor<?x16xbf16>, !transformer.batch, !cache) -> tensor<?x32xf32>
  return %y, %z : tensor<?x32xbf16>, tensor<?x32xf32>
}
