// Embeddings of texts by an encoder: one vector a text, of its rows in the last layer (docs/decisions/encoders.md).
#pragma once
#include "lib/Checkpoint/Pooling.h"
#include "runtime/Session/Session.h"
#include <memory>
#include <optional>
#include <vector>

namespace stepdown {

class Embedder {
public:
  struct Options {
    int32_t threads = 0; ///< 0: one per core
    /// In place of what the checkpoint says.
    std::optional<Pooling> pooling;
    std::optional<bool> normalises;
  };
  using Text = std::vector<int32_t>; ///< ids, with the tokens around a text

  /// E1425 for a model that is no encoder, E1423 where nobody says how rows are pooled; E0601, E0602, E1045.
  static Result<std::unique_ptr<Embedder>> create(std::shared_ptr<const Model> model, const Options &options);

  /// Elements of an embedding.
  size_t width() const { return session->of().head().outputs; }
  /// Tokens that a text may have.
  size_t longest() const { return most; }
  /// The embeddings of `count` texts to `out` [count][width()]. As many texts as fit share a step; what a text's
  /// embedding is, to the bit, does not depend on the others. E1422 for a text that is too long, E1427 for one without
  /// tokens or with an id that the model does not have: before anything is computed. E1047.
  Status embed(const Text *texts, size_t count, float *out);

private:
  Embedder() = default;
  Status check(const Text *texts, size_t count) const;
  Status step(const Text *texts, size_t count, float *out);
  void pool(size_t row, size_t rows, float *out);

  std::unique_ptr<Session> session;
  size_t most = 0;
  int32_t sequences = 0; ///< texts that a step may have
  PoolingParameters how;
  std::vector<Session::Token> batch;
  std::vector<double> sums; ///< [width]
};

} // namespace stepdown
