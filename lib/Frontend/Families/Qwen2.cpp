// Qwen 2 and 2.5: biases on q, k and v; the halves of a head rotate together.
#include "lib/Frontend/Family.h"

namespace stepdown {

static mlir::Value layer(LayerBuilder &b, mlir::Value x) {
  auto [q, k, v] = b.projections(b.norm(x, "attn_norm"));
  x = b.add(x, b.attention({b.rope(q), b.rope(k), v}));
  return b.add(x, b.gatedMlp(b.norm(x, "ffn_norm"), transformer::Gate::Silu));
}

const FamilyDescription qwen2Family = {Family::Qwen2, [](const ModelParameters &) { return 1.0; }, layer};

} // namespace stepdown
