// Phi 3, 3.5 and 4: q, k and v in one tensor, gate and up in another; a head may rotate in part; long files carry
// LongRoPE factors.
#include "lib/Frontend/Family.h"

namespace stepdown {

static mlir::Value layer(LayerBuilder &b, mlir::Value x) {
  auto [q, k, v] = b.projections(b.norm(x, "attn_norm"));
  x = b.add(x, b.attention({b.rope(q), b.rope(k), v}));
  return b.add(x, b.fusedGatedMlp(b.norm(x, "ffn_norm"), "ffn_up", transformer::Gate::Silu));
}

const FamilyDescription phi3Family = {Family::Phi3, [](const ModelParameters &) { return 1.0; }, layer};

} // namespace stepdown
