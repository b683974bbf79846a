// A product that --target=emulated:sm_90a computes with the tile kernel of the GPU's tensor cores, and what follows it
// with a thread for each element: docs/programs.md.
func.func @product(%a: tensor<?x64xbf16>, %b: tensor<64x72xbf16>, %bias: tensor<72xf32>) -> tensor<?x72xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %rows = tensor.dim %a, %c0 : tensor<?x64xbf16>
  %empty = tensor.empty(%rows) : tensor<?x72xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x72xf32>) -> tensor<?x72xf32>
  %c = linalg.matmul ins(%a, %b : tensor<?x64xbf16>, tensor<64x72xbf16>) outs(%zeros : tensor<?x72xf32>) -> tensor<?x72xf32>
  %wide = linalg.broadcast ins(%bias : tensor<72xf32>) outs(%empty : tensor<?x72xf32>) dimensions = [0]
  %sum = arith.addf %c, %wide : tensor<?x72xf32>
  return %sum : tensor<?x72xf32>
}
