// The meaning of every operation of the transformer dialect as plain loops over plain vectors, in float32 or float64.
// What lowerings are compared with: written for reading, one formula of TransformerOps.td a function, sums in index
// order.
#pragma once
#include "lib/Checkpoint/Gguf.h"
#include "lib/Target/Layout.h"
#include <cstdint>
#include <map>
#include <vector>

namespace stepdown::reference {

/// [rows, columns], row-major.
template <typename T> struct Tensor {
  size_t rows = 0, columns = 0;
  std::vector<T> values;
  Tensor() = default;
  Tensor(size_t rows, size_t columns) : rows(rows), columns(columns), values(rows * columns) {}
  T *row(size_t r) { return values.data() + r * columns; }
  const T *row(size_t r) const { return values.data() + r * columns; }
};

/// Rows [first, first + rows) of a stored matrix of `columns` values a row; decoded when it is read.
struct Matrix {
  const BlockFormat *format;
  const uint8_t *bytes; ///< of row `first`
  size_t rows, columns; ///< with padding
  WeightPadding padding = {};
  size_t storedColumns = 0; ///< of the tensor where padding adds some
  size_t valuesOfRow() const { return storedColumns ? storedColumns : columns; }
  size_t rowBytes() const { return valuesOfRow() / format->elements * format->bytes; }
};

/// For each token of a step the sequence it belongs to and its position there.
struct Batch {
  std::vector<int32_t> sequences, positions; // [T]
};

/// Keys and values of one layer, by sequence and position.
template <typename T> struct Cache {
  size_t heads, keySize, valueSize;
  bool isFloat16;
  struct Entry {
    std::vector<T> key, value; // [heads * keySize], [heads * valueSize]
  };
  std::map<int32_t, std::map<int32_t, Entry>> sequences;
};

enum class Activation { Silu, GeluTanh, GeluErf };

struct RopeShape {
  bool adjacent;
  size_t headSize;
  const double *inverseFrequencies;
  size_t pairs;
  double attentionFactor;
};

struct AttentionShape {
  double scale, softcap;
  int64_t window;
  bool causal;
};

template <typename T> Tensor<T> embedding(const std::vector<int32_t> &tokens, const Matrix &table, double scale);
template <typename T> Tensor<T> selectRows(const Tensor<T> &x, const std::vector<int32_t> &rows);
/// The mean leaves out `padding` columns of zeros.
template <typename T>
Tensor<T> rmsNorm(const Tensor<T> &x, const std::vector<T> &weight, double eps, size_t padding = 0);
template <typename T>
Tensor<T> layerNorm(const Tensor<T> &x, const std::vector<T> &weight, const std::vector<T> &bias, double eps);
/// `bias` may be null. Rows of the weight are shared out to threads; every sum runs over the columns in order.
template <typename T> Tensor<T> linear(const Tensor<T> &x, const Matrix &weight, const std::vector<T> *bias);
template <typename T>
Tensor<T> logits(const Tensor<T> &x, const Matrix &weight, const std::vector<T> *bias, double scale, double softcap);
template <typename T> Tensor<T> rope(const Tensor<T> &x, const Batch &batch, const RopeShape &shape);
/// A float16 cache rounds; a float32 cache keeps the precision of the evaluation.
template <typename T> Cache<T> kvAppend(const Tensor<T> &k, const Tensor<T> &v, const Batch &batch, Cache<T> cache);
/// `sinks` may be null.
template <typename T>
Tensor<T> attention(const Tensor<T> &q, const Batch &batch, const Cache<T> &cache, const std::vector<T> *sinks,
                    const AttentionShape &shape);
template <typename T> Tensor<T> gatedActivation(const Tensor<T> &gate, const Tensor<T> &up, Activation kind);
template <typename T> Tensor<T> add(const Tensor<T> &a, const Tensor<T> &b);
/// What 8-bit blocks of 32 columns keep of a value: a code (q8), a code and a residual code in steps of 1 / 256 (q8x2),
/// or a code, and 7 bits more in the two quads of columns with the largest values (q8o2).
enum class Codes { One, Residual, Outliers };
/// The values that such blocks keep of x, computed in float32: d * (code + ...). d = max |x| / 127; with outliers the
/// maximum is that of the other six quads, and d at least max |x| / 16319.
template <typename T> Tensor<T> quantize(const Tensor<T> &x, Codes codes);
/// The first `size` of every `room` columns, one group after the other, and zeros up to `columns`.
template <typename T> Tensor<T> gathered(const Tensor<T> &x, size_t size, size_t room, size_t columns);

} // namespace stepdown::reference
