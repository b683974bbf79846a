// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

// C1
// expected-error @+1 {{expects a positive layers, but got 0}}
module attributes {transformer.model = #transformer.model<name = "m", architecture = "llama", positions = 8, width = 8, layers = 0, vocabulary = 8>} {}

// -----

// expected-error @+1 {{expects 'transformer.model' to be a #transformer.model, but got 3 : i64}}
module attributes {transformer.model = 3} {}

// -----

// expected-error @+1 {{expects 'transformer.model' on a module only}}
func.func private @f() attributes {transformer.model = #transformer.model<name = "m", architecture = "llama", positions = 8, width = 8, layers = 1, vocabulary = 8>}

// -----

// expected-error @+1 {{expects no attribute of the transformer dialect but 'transformer.model', but got 'transformer.other'}}
func.func private @g() attributes {transformer.other}
