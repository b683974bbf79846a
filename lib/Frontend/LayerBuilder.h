// The vocabulary in which a family describes its layer: tensors by the name that follows "blk.N.", shapes checked
// against the file. The first tensor that is missing or of another shape is kept as the error of the build.
#pragma once
#include "dialects/Transformer/IR/TransformerOps.h"
#include "lib/Checkpoint/ModelParameters.h"
#include "lib/Frontend/Frontend.h"
#include "lib/Frontend/RopeTable.h"
#include "mlir/IR/Builders.h"
#include <optional>

namespace stepdown {

struct Projections {
  mlir::Value q, k, v; // [T, heads * headSize], [T, kvHeads * headSize] twice
};

class LayerBuilder {
public:
  using Gate = transformer::Gate;
  /// Builds at `builder`'s insertion point the layer whose representative in the file is `index`.
  LayerBuilder(mlir::OpBuilder &builder, const Checkpoint &checkpoint, const ModelParameters &parameters, size_t index,
               const RopeTable &table, const AdapterSlots &adapters, mlir::Value batch, mlir::Value cache)
      : parameters(parameters), index(index), builder(builder), checkpoint(checkpoint), table(table),
        adapters(adapters), batch(batch), cache(cache) {}

  const ModelParameters &parameters;
  const size_t index; ///< of the representative layer

  /// RMS norm of each row, with `tensor`.weight [N].
  mlir::Value norm(mlir::Value x, llvm::StringRef tensor);
  /// Mean and variance norm of each row, with `tensor`.weight [N] and, as the family has it, `tensor`.bias [N].
  mlir::Value layerNorm(mlir::Value x, llvm::StringRef tensor);
  /// RMS norm of each head by itself, with `tensor`.weight [headSize].
  mlir::Value headNorm(mlir::Value x, llvm::StringRef tensor);
  /// `tensor`.weight [out, N] and, where the file has it, `tensor`.bias [out].
  mlir::Value linear(mlir::Value x, llvm::StringRef tensor, int64_t out);
  /// Rows [begin, begin + out) of `tensor`.weight [total, N] and `tensor`.bias.
  mlir::Value linearRows(mlir::Value x, llvm::StringRef tensor, int64_t begin, int64_t out, int64_t total);
  /// attn_q, attn_k and attn_v, or their rows of attn_qkv where the file fuses them.
  Projections projections(mlir::Value x);
  /// `x` itself in a layer without positions.
  mlir::Value rope(mlir::Value x);
  /// Appends k and v to the cache, attends, of an encoder to the whole text, and multiplies with attn_output.
  mlir::Value attention(const Projections &rotated);
  /// ffn_down(activation(ffn_up x)).
  mlir::Value mlp(mlir::Value x, transformer::Gate activation);
  /// ffn_down(gate(ffn_gate x) * (ffn_up x)).
  mlir::Value gatedMlp(mlir::Value x, transformer::Gate gate);
  /// gatedMlp or, where the model has experts, what those of each token give, weighted: ffn_gate_inp chooses, and
  /// ffn_gate_exps, ffn_up_exps and ffn_down_exps hold the weights of all. Beside them, where the family has it, the
  /// shared expert.
  mlir::Value feedForward(mlir::Value x, transformer::Gate gate);
  /// The same with gate and up as the two halves of `tensor`'s rows.
  mlir::Value fusedGatedMlp(mlir::Value x, llvm::StringRef tensor, transformer::Gate gate);
  /// The residual stream with what a branch gives, times the model's residual scale.
  mlir::Value add(mlir::Value stream, mlir::Value branch);

  /// Whether the file has this tensor in the representative layer.
  bool has(llvm::StringRef tensor) const;
  /// The cache after the layer.
  mlir::Value filledCache() const { return cache; }
  /// The first refusal, if any; what was built then is not the model.
  const std::optional<Error> &error() const { return refusal; }

private:
  mlir::Value vector(llvm::StringRef tensor, int64_t total, int64_t begin, int64_t size);
  /// `tensor`.weight [experts, out, N], as one matrix [experts * out, N].
  mlir::Value experts(mlir::Value x, mlir::Value ids, llvm::StringRef tensor, int64_t out, bool byRank);
  /// ffn_down_shexp(gate(ffn_gate_shexp x) * (ffn_up_shexp x)), times the sigmoid of ffn_gate_inp_shexp x.
  mlir::Value sharedExpert(mlir::Value x, transformer::Gate gate);
  mlir::Value matrix(llvm::StringRef tensor, int64_t total, int64_t in, int64_t begin, int64_t out);
  /// What the linear `tensor` gives of `of`, with what the adapter of each token adds.
  mlir::Value adapted(mlir::Value y, mlir::Value of, llvm::StringRef tensor);
  mlir::Location location(llvm::StringRef tensor);
  mlir::Type rows(mlir::Value like, int64_t columns);

  mlir::OpBuilder &builder;
  const Checkpoint &checkpoint;
  const RopeTable &table;
  const AdapterSlots &adapters;
  mlir::Value batch, cache;
  mlir::Value slots; ///< of the adapters of the tokens, once a linear has asked for them
  std::optional<Error> refusal;
};

/// tensor<out x in/e x !transformer.block<storage>> with e values a block.
mlir::RankedTensorType matrixType(mlir::MLIRContext *context, Storage storage, int64_t out, int64_t in);

} // namespace stepdown
