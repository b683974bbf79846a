// Llama 1 to 3, and what ships in its files: Mistral, SmolLM, TinyLlama. The converter permutes the rows of q and k so
// that adjacent columns rotate together.
#include "lib/Frontend/Family.h"

namespace stepdown {

static mlir::Value layer(LayerBuilder &b, mlir::Value x) {
  auto [q, k, v] = b.projections(b.norm(x, "attn_norm"));
  x = b.add(x, b.attention({b.rope(q), b.rope(k), v}));
  return b.add(x, b.gatedMlp(b.norm(x, "ffn_norm"), transformer::Gate::Silu));
}

const FamilyDescription llamaFamily = {Family::Llama, [](const ModelParameters &) { return 1.0; }, layer};

} // namespace stepdown
