// Two functions for stepdown-run call: stepdown-compile program.mlir -o program.stepdown

func.func @matmul(%a: tensor<?x?xf32>, %b: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %m = tensor.dim %a, %c0 : tensor<?x?xf32>
  %n = tensor.dim %b, %c1 : tensor<?x?xf32>
  %empty = tensor.empty(%m, %n) : tensor<?x?xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x?xf32>) -> tensor<?x?xf32>
  %c = linalg.matmul ins(%a, %b : tensor<?x?xf32>, tensor<?x?xf32>) outs(%start : tensor<?x?xf32>) -> tensor<?x?xf32>
  return %c : tensor<?x?xf32>
}

// The residual sum, and its norm.
func.func @residual_norm(%x: tensor<?x64xf32>, %y: tensor<?x64xf32>, %weight: tensor<64xf32>)
    -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %sum = transformer.add %x, %y : tensor<?x64xf32>
  %norm = transformer.rms_norm %sum, %weight {eps = 1.0e-5 : f64} : tensor<?x64xf32>, tensor<64xf32>
  return %sum, %norm : tensor<?x64xf32>, tensor<?x64xf32>
}
