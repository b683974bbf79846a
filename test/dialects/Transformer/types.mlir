// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

// Block C1
// expected-error @+1 {{expects a storage type such as q4_1, but got 'q9_9'}}
func.func private @unknown_storage(tensor<4x!transformer.block<q9_9>>)

// -----

// Block C2
// expected-error @+1 {{expects 1 or 16 rows, but got 3}}
func.func private @three_rows(tensor<4x!transformer.block<q4_1, rows = 3>>)

// -----

// Activation C1
// expected-error @+1 {{expects element q8, q8o2, q8x2, bf16x2, bf16 or f32, but got 'f16'}}
func.func private @activation_element(tensor<4x!transformer.activation<f16>>)

// -----

// Activation C2
// expected-error @+1 {{expects between 1 and 64 tokens, but got 65}}
func.func private @activation_tokens(tensor<4x!transformer.activation<q8, tokens = 65>>)

// -----

// Cache C1
// expected-error @+1 {{expects positive heads, key and value, but got 0, 4 and 4}}
func.func private @cache_without_heads(!transformer.cache<heads = 0, key = 4, value = 4, element = f16>)

// -----

// Cache C2
// expected-error @+1 {{expects element f16, bf16, f32, f8E4M3FN or !transformer.block<q8_0>, but got 'f64'}}
func.func private @cache_element(!transformer.cache<heads = 1, key = 4, value = 4, element = f64>)

// -----

// Cache C2
// expected-error @+1 {{expects element f16, bf16, f32, f8E4M3FN or !transformer.block<q8_0>, but got '!transformer.block<q4_0>'}}
func.func private @cache_of_other_blocks(!transformer.cache<heads = 1, key = 4, value = 4, element = !transformer.block<q4_0>>)

// -----

// Activation C3
// expected-error @+1 {{expects 32, 64, 128 or 256 columns, but got 96}}
func.func private @activation_columns(tensor<4x!transformer.activation<q8, columns = 96>>)
