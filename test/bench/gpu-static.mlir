// The kernels that docs/performance.md compares with those of peers: a product, and attention of three head sizes, causal and
// not.
func.func @product(%a: tensor<?x4096xbf16>, %b: tensor<4096x4096xbf16>) -> tensor<?x4096xbf16> {
  %c0 = arith.constant 0 : index
  %z = arith.constant 0.0 : bf16
  %n = tensor.dim %a, %c0 : tensor<?x4096xbf16>
  %e = tensor.empty(%n) : tensor<?x4096xbf16>
  %f = linalg.fill ins(%z : bf16) outs(%e : tensor<?x4096xbf16>) -> tensor<?x4096xbf16>
  %c = linalg.matmul ins(%a, %b : tensor<?x4096xbf16>, tensor<4096x4096xbf16>) outs(%f : tensor<?x4096xbf16>) -> tensor<?x4096xbf16>
  return %c : tensor<?x4096xbf16>
}
func.func @a64t(%q: tensor<?x64xbf16>, %b: !transformer.batch, %c: !transformer.cache<heads = 1, key = 64, value = 64, element = bf16>) -> tensor<?x64xbf16> {
  %y = transformer.attention %q, %b, %c {scale = 0.125 : f64, causal = true} : (tensor<?x64xbf16>, !transformer.batch, !transformer.cache<heads = 1, key = 64, value = 64, element = bf16>) -> tensor<?x64xbf16>
  return %y : tensor<?x64xbf16>
}
func.func @a64f(%q: tensor<?x64xbf16>, %b: !transformer.batch, %c: !transformer.cache<heads = 1, key = 64, value = 64, element = bf16>) -> tensor<?x64xbf16> {
  %y = transformer.attention %q, %b, %c {scale = 0.125 : f64, causal = false} : (tensor<?x64xbf16>, !transformer.batch, !transformer.cache<heads = 1, key = 64, value = 64, element = bf16>) -> tensor<?x64xbf16>
  return %y : tensor<?x64xbf16>
}
func.func @a128t(%q: tensor<?x128xbf16>, %b: !transformer.batch, %c: !transformer.cache<heads = 1, key = 128, value = 128, element = bf16>) -> tensor<?x128xbf16> {
  %y = transformer.attention %q, %b, %c {scale = 0.08838834764831845 : f64, causal = true} : (tensor<?x128xbf16>, !transformer.batch, !transformer.cache<heads = 1, key = 128, value = 128, element = bf16>) -> tensor<?x128xbf16>
  return %y : tensor<?x128xbf16>
}
func.func @a128f(%q: tensor<?x128xbf16>, %b: !transformer.batch, %c: !transformer.cache<heads = 1, key = 128, value = 128, element = bf16>) -> tensor<?x128xbf16> {
  %y = transformer.attention %q, %b, %c {scale = 0.08838834764831845 : f64, causal = false} : (tensor<?x128xbf16>, !transformer.batch, !transformer.cache<heads = 1, key = 128, value = 128, element = bf16>) -> tensor<?x128xbf16>
  return %y : tensor<?x128xbf16>
}
func.func @a256t(%q: tensor<?x256xbf16>, %b: !transformer.batch, %c: !transformer.cache<heads = 1, key = 256, value = 256, element = bf16>) -> tensor<?x256xbf16> {
  %y = transformer.attention %q, %b, %c {scale = 0.0625 : f64, causal = true} : (tensor<?x256xbf16>, !transformer.batch, !transformer.cache<heads = 1, key = 256, value = 256, element = bf16>) -> tensor<?x256xbf16>
  return %y : tensor<?x256xbf16>
}
func.func @a256f(%q: tensor<?x256xbf16>, %b: !transformer.batch, %c: !transformer.cache<heads = 1, key = 256, value = 256, element = bf16>) -> tensor<?x256xbf16> {
  %y = transformer.attention %q, %b, %c {scale = 0.0625 : f64, causal = false} : (tensor<?x256xbf16>, !transformer.batch, !transformer.cache<heads = 1, key = 256, value = 256, element = bf16>) -> tensor<?x256xbf16>
  return %y : tensor<?x256xbf16>
}