// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

// C1
func.func @name_is_empty(%x: tensor<?x8xf32>) {
  // expected-error @+1 {{expects a name that is not empty}}
  %y = transformer.kernel "" (%a = %x : tensor<?x8xf32>) -> (tensor<?x8xf32>) {
    transformer.yield %a : tensor<?x8xf32>
  }
  return
}

// -----

// C2
func.func @argument_of_another_type(%x: tensor<?x8xf32>) {
  // expected-error @+1 {{expects body arguments ('tensor<?x8xf32>'), but got ('tensor<?x4xf32>')}}
  "transformer.kernel"(%x) <{label = "k"}> ({
  ^body(%a: tensor<?x4xf32>):
    "transformer.yield"(%a) : (tensor<?x4xf32>) -> ()
  }) : (tensor<?x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

// C2
func.func @argument_missing(%x: tensor<?x8xf32>) {
  // expected-error @+1 {{expects body arguments ('tensor<?x8xf32>', 'tensor<?x8xf32>'), but got ('tensor<?x8xf32>')}}
  "transformer.kernel"(%x, %x) <{label = "k"}> ({
  ^body(%a: tensor<?x8xf32>):
    "transformer.yield"(%a) : (tensor<?x8xf32>) -> ()
  }) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// C3
func.func @yields_too_much(%x: tensor<?x8xf32>) {
  // expected-error @+1 {{expects the body to yield ('tensor<?x8xf32>'), but got ('tensor<?x8xf32>', 'tensor<?x8xf32>')}}
  %y = transformer.kernel "k" (%a = %x : tensor<?x8xf32>) -> (tensor<?x8xf32>) {
    transformer.yield %a, %a : tensor<?x8xf32>, tensor<?x8xf32>
  }
  return
}

// -----

// C4
func.func @no_result(%x: tensor<?x8xf32>) {
  // expected-error @+1 {{expects at least one result}}
  transformer.kernel "k" (%a = %x : tensor<?x8xf32>) -> () {
  }
  return
}

// -----

// C5
func.func @kernel_in_a_kernel(%x: tensor<?x8xf32>) {
  // expected-error @+1 {{expects no kernel in its body}}
  %y = transformer.kernel "k" (%a = %x : tensor<?x8xf32>) -> (tensor<?x8xf32>) {
    %z = transformer.kernel "inner" (%b = %a : tensor<?x8xf32>) -> (tensor<?x8xf32>) {
      transformer.yield %b : tensor<?x8xf32>
    }
    transformer.yield %z : tensor<?x8xf32>
  }
  return
}

// -----

// The body reads nothing but its arguments.
func.func @reads_from_above(%x: tensor<?x8xf32>) {
  // expected-note @+1 {{required by region isolation constraints}}
  %y = transformer.kernel "k" (%a = %x : tensor<?x8xf32>) -> (tensor<?x8xf32>) {
    // expected-error @+1 {{using value defined outside the region}}
    %z = transformer.add %a, %x : tensor<?x8xf32>
    transformer.yield %z : tensor<?x8xf32>
  }
  return
}

// -----

func.func @body_without_a_block(%x: tensor<?x8xf32>) {
  // expected-error @+1 {{region #0 ('body') failed to verify constraint: region with 1 blocks}}
  %y = "transformer.kernel"(%x) <{label = "k"}> ({}) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// C1 of transformer.yield
func.func @yield_outside_a_kernel(%x: tensor<?x8xf32>) {
  // expected-error @+1 {{expects parent op 'transformer.kernel'}}
  transformer.yield %x : tensor<?x8xf32>
}
