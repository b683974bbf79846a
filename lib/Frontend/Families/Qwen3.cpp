// Qwen 3: every head of q and of k is normed before it rotates; heads are often wider than width / heads.
#include "lib/Frontend/Family.h"

namespace stepdown {

static mlir::Value layer(LayerBuilder &b, mlir::Value x) {
  auto [q, k, v] = b.projections(b.norm(x, "attn_norm"));
  q = b.headNorm(q, "attn_q_norm");
  k = b.headNorm(k, "attn_k_norm");
  x = b.add(x, b.attention({b.rope(q), b.rope(k), v}));
  return b.add(x, b.gatedMlp(b.norm(x, "ffn_norm"), transformer::Gate::Silu));
}

const FamilyDescription qwen3Family = {Family::Qwen3, [](const ModelParameters &) { return 1.0; }, layer};

} // namespace stepdown
