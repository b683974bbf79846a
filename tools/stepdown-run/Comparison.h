// How far the distributions of a model are from those of another, token by token: what `eval --against` tells.
#pragma once
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace stepdown::run {

/// -log softmax(row)[id], summed in double in the order of the vocabulary.
double surprise(const float *row, size_t vocabulary, int32_t id);

class Comparison {
public:
  explicit Comparison(size_t vocabulary) : vocabulary(vocabulary) {}

  /// Logits of a model and of the reference behind the same tokens, and the token that follows, or -1.
  void add(const float *row, const float *reference, int32_t next);

  /// Of the Kullback-Leibler divergence of the model from the reference, in nats: its mean over all rows, the standard
  /// error of that, its median, 99th percentile and most; the share of rows whose likeliest token is the reference's;
  /// the reference's mean negative log-likelihood and perplexity.
  nlohmann::json json() const;
  std::string text() const;

private:
  size_t vocabulary, same = 0, predicted = 0;
  double sum = 0; ///< of the reference's surprise
  std::vector<double> divergences;
};

} // namespace stepdown::run
