// Gemma 3: embedding times sqrt(width), norms of the heads of q and k, norms after attention and MLP, five window
// layers (with a rotary base of their own) to one that sees everything. The stored norm weights include the 1 of (1 +
// w).
#include "lib/Frontend/Family.h"
#include <cmath>

namespace stepdown {

static mlir::Value layer(LayerBuilder &b, mlir::Value x) {
  auto [q, k, v] = b.projections(b.norm(x, "attn_norm"));
  q = b.headNorm(q, "attn_q_norm");
  k = b.headNorm(k, "attn_k_norm");
  mlir::Value attended = b.attention({b.rope(q), b.rope(k), v});
  x = b.add(x, b.norm(attended, "post_attention_norm"));
  mlir::Value mlp = b.gatedMlp(b.norm(x, "ffn_norm"), transformer::Gate::GeluTanh);
  return b.add(x, b.norm(mlp, "post_ffw_norm"));
}

const FamilyDescription gemma3Family = {Family::Gemma3,
                                        [](const ModelParameters &p) { return std::sqrt(double(p.width)); }, layer};

} // namespace stepdown
