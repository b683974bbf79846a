// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

func.func @no_kernel(%a: tensor<3x5xbf16>, %c: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // expected-error @+1 {{expects a tile.kernel @elsewhere (C1), but there is none}}
  %0 = tile.launch @elsewhere ins(%a : tensor<3x5xbf16>) outs(%c : tensor<3x5xf32>) -> tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}

// -----

tile.kernel @one(%c: memref<?x?xf32>) {
}
func.func @two_matrices(%a: tensor<3x5xf32>, %c: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // expected-error @+1 {{expects 1 matrices (C2), but got 2}}
  %0 = tile.launch @one ins(%a : tensor<3x5xf32>) outs(%c : tensor<3x5xf32>) -> tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}

// -----

tile.kernel @halves(%a: memref<?x?xbf16>, %c: memref<?x?xf32>) {
}
func.func @floats(%a: tensor<3x5xf32>, %c: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // expected-error @+1 {{expects a matrix as the kernel's 'memref<?x?xbf16>' (C2), but got 'tensor<3x5xf32>'}}
  %0 = tile.launch @halves ins(%a : tensor<3x5xf32>) outs(%c : tensor<3x5xf32>) -> tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
