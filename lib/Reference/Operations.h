// The meaning of every operation of the transformer dialect as plain loops over plain vectors, in float32 or float64.
// What lowerings are compared with: written for reading, one formula of TransformerOps.td a function, sums in index
// order.
#pragma once
#include "lib/Checkpoint/Checkpoint.h"
#include "lib/Target/Layout.h"
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <thread>
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
  size_t storedColumns = 0;       ///< of the tensor where padding adds some
  std::vector<float> scales = {}; ///< of each stored row, what multiplies it; or nothing
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
  bool isE4M3 = false;    ///< 8-bit floats of OCP, what is beyond them the largest
  bool hasBlocks = false; ///< each head in blocks of 32 channels, as dialects/Transformer/IR/CachedRows.h has them
};

enum class Activation { Silu, GeluTanh, GeluErf, ClampedSwish, Sigmoid };

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

namespace detail {

/// Row `r` of a stored matrix: out [columns].
template <typename T> void decodeRow(const Matrix &matrix, size_t r, std::vector<float> &scratch, std::vector<T> &out) {
  scratch.assign(matrix.columns, 0);
  if (matrix.padding.isStored(r))
    decode(*matrix.format, matrix.bytes + matrix.padding.storedBefore(r) * matrix.rowBytes(),
           matrix.valuesOfRow() / matrix.format->elements, scratch.data());
  out.assign(scratch.begin(), scratch.end());
  if (!matrix.scales.empty() && matrix.padding.isStored(r))
    for (T &value : out)
      value *= matrix.scales[matrix.padding.storedBefore(r)];
}

template <typename T> T softcapped(T z, double cap) { return cap == 0 ? z : T(cap) * std::tanh(z / T(cap)); }

/// Calls body(begin, end) on parts of [0, count), one for each core. A result never depends on the parts.
template <typename Body> void parallel(size_t count, Body body) {
  size_t parts = std::clamp<size_t>(std::thread::hardware_concurrency(), 1, std::max<size_t>(count, 1));
  std::vector<std::thread> threads;
  for (size_t p = 1; p < parts; ++p)
    threads.emplace_back(body, count * p / parts, count * (p + 1) / parts);
  body(0, count / parts);
  for (std::thread &thread : threads)
    thread.join();
}

} // namespace detail

template <typename T> Tensor<T> embedding(const std::vector<int32_t> &tokens, const Matrix &table, double scale) {
  Tensor<T> y(tokens.size(), table.columns);
  std::vector<float> scratch;
  std::vector<T> row;
  for (size_t t = 0; t < tokens.size(); ++t) {
    detail::decodeRow(table, tokens[t], scratch, row);
    for (size_t c = 0; c < table.columns; ++c)
      y.row(t)[c] = T(scale) * row[c];
  }
  return y;
}

template <typename T> Tensor<T> selectRows(const Tensor<T> &x, const std::vector<int32_t> &rows) {
  Tensor<T> y(rows.size(), x.columns);
  for (size_t r = 0; r < rows.size(); ++r)
    std::copy_n(x.row(rows[r]), x.columns, y.row(r));
  return y;
}

/// The mean leaves out `padding` columns of zeros.
template <typename T>
Tensor<T> rmsNorm(const Tensor<T> &x, const std::vector<T> &weight, double eps, size_t padding = 0) {
  Tensor<T> y(x.rows, x.columns);
  size_t size = weight.size();
  for (size_t begin = 0; begin < x.values.size(); begin += size) { // a row, or a head of it
    T squares = 0;
    for (size_t i = 0; i < size; ++i)
      squares += x.values[begin + i] * x.values[begin + i];
    T root = std::sqrt(squares / T(size - padding) + T(eps));
    for (size_t i = 0; i < size; ++i)
      y.values[begin + i] = x.values[begin + i] / root * weight[i];
  }
  return y;
}

/// `bias` may be null.
template <typename T>
Tensor<T> layerNorm(const Tensor<T> &x, const std::vector<T> &weight, const std::vector<T> *bias, double eps) {
  Tensor<T> y(x.rows, x.columns);
  for (size_t t = 0; t < x.rows; ++t) {
    T mean = 0, variance = 0;
    for (size_t i = 0; i < x.columns; ++i)
      mean += x.row(t)[i] / T(x.columns);
    for (size_t i = 0; i < x.columns; ++i)
      variance += (x.row(t)[i] - mean) * (x.row(t)[i] - mean) / T(x.columns);
    for (size_t i = 0; i < x.columns; ++i)
      y.row(t)[i] = (x.row(t)[i] - mean) / std::sqrt(variance + T(eps)) * weight[i] + (bias ? (*bias)[i] : T(0));
  }
  return y;
}

/// `bias` may be null. Rows of the weight are shared out to threads; every sum runs over the columns in order.
template <typename T> Tensor<T> linear(const Tensor<T> &x, const Matrix &weight, const std::vector<T> *bias) {
  constexpr size_t lanes =
      8; // tokens whose sums run side by side, so that each may stay in index order and yet be fast
  size_t tiles = (x.rows + lanes - 1) / lanes;
  Tensor<T> y(x.rows, weight.rows);
  std::vector<T> tiled(tiles * x.columns * lanes); // [tiles, columns, lanes]
  for (size_t t = 0; t < x.rows; ++t)
    for (size_t c = 0; c < x.columns; ++c)
      tiled[(t / lanes * x.columns + c) * lanes + t % lanes] = x.row(t)[c];
  detail::parallel(weight.rows, [&](size_t begin, size_t end) {
    std::vector<float> scratch;
    std::vector<T> row;
    for (size_t o = begin; o < end; ++o) {
      detail::decodeRow(weight, o, scratch, row);
      row.resize(x.columns); // blocks of 32 columns may have zeros behind the last
      for (size_t tile = 0; tile < tiles; ++tile) {
        const T *in = tiled.data() + tile * x.columns * lanes;
        T sums[lanes] = {};
        for (size_t c = 0; c < x.columns; ++c)
          for (size_t i = 0; i < lanes; ++i)
            sums[i] += row[c] * in[c * lanes + i];
        for (size_t t = tile * lanes; t < std::min(x.rows, (tile + 1) * lanes); ++t)
          y.row(t)[o] = bias ? sums[t % lanes] + (*bias)[o] : sums[t % lanes];
      }
    }
  });
  return y;
}

template <typename T>
Tensor<T> logits(const Tensor<T> &x, const Matrix &weight, const std::vector<T> *bias, double scale, double softcap) {
  Tensor<T> z = linear(x, weight, bias);
  for (T &value : z.values)
    value = detail::softcapped(T(scale) * value, softcap);
  return z;
}

/// The experts of each token [T * used], and their weights [T, columns] with zeros behind the last. NaN and -infinity
/// count as the lowest float, so that the order is one.
template <typename T>
std::pair<std::vector<int32_t>, Tensor<T>> route(const Tensor<T> &z, size_t experts, size_t used, bool normalised,
                                                 double scale, size_t columns) {
  std::vector<int32_t> ids;
  Tensor<T> weights(z.rows, columns);
  for (size_t t = 0; t < z.rows; ++t) {
    std::vector<T> row(z.row(t), z.row(t) + experts);
    for (T &value : row)
      value = value > T(std::numeric_limits<float>::lowest()) ? value : T(std::numeric_limits<float>::lowest());
    std::vector<int32_t> order(experts);
    for (size_t e = 0; e < experts; ++e)
      order[e] = int32_t(e);
    std::sort(order.begin(), order.end(),
              [&](int32_t a, int32_t c) { return row[a] != row[c] ? row[a] > row[c] : a < c; });
    T sum = 0;
    for (size_t r = 0; r < (normalised ? used : experts); ++r)
      sum += std::exp(row[order[r]] - row[order[0]]);
    for (size_t r = 0; r < used; ++r)
      weights.row(t)[r] = T(scale) * std::exp(row[order[r]] - row[order[0]]) / sum;
    ids.insert(ids.end(), order.begin(), order.begin() + long(used));
  }
  return {ids, weights};
}

struct ExpertShape {
  size_t experts, ranks;
  bool byRank; ///< x has columns of its own for each rank
};

/// The experts' weights lie one behind the other in `weight`, their biases in `bias`, or null; ids [T * ranks].
template <typename T>
Tensor<T> expertLinear(const Tensor<T> &x, const std::vector<int32_t> &ids, const Matrix &weight,
                       const ExpertShape &shape, const std::vector<T> *bias = nullptr) {
  const size_t rows = weight.rows / shape.experts, in = weight.columns; // x may have zeros behind all of them
  Tensor<T> y(x.rows, shape.ranks * rows);
  std::vector<float> scratch;
  std::vector<T> row;
  for (size_t t = 0; t < x.rows; ++t)
    for (size_t r = 0; r < shape.ranks; ++r)
      for (size_t o = 0; o < rows; ++o) {
        const size_t at = size_t(ids[t * shape.ranks + r]) * rows + o;
        detail::decodeRow(weight, at, scratch, row);
        const T *from = x.row(t) + (shape.byRank ? r * in : 0);
        T sum = 0;
        for (size_t c = 0; c < in; ++c)
          sum += row[c] * from[c];
        y.row(t)[r * rows + o] = bias ? sum + (*bias)[at] : sum;
      }
  return y;
}

template <typename T> Tensor<T> combineExperts(const Tensor<T> &x, const Tensor<T> &weights, size_t ranks) {
  Tensor<T> y(x.rows, x.columns / ranks);
  for (size_t t = 0; t < x.rows; ++t)
    for (size_t r = 0; r < ranks; ++r)
      for (size_t i = 0; i < y.columns; ++i)
        y.row(t)[i] += weights.row(t)[r] * x.row(t)[r * y.columns + i];
  return y;
}

template <typename T> Tensor<T> rope(const Tensor<T> &x, const Batch &batch, const RopeShape &shape) {
  Tensor<T> y = x;
  for (size_t t = 0; t < x.rows; ++t)
    for (size_t k = 0; k < shape.pairs; ++k) {
      double angle = batch.positions[t] * shape.inverseFrequencies[k];
      T c = T(shape.attentionFactor * std::cos(angle)), s = T(shape.attentionFactor * std::sin(angle));
      for (size_t head = 0; head < x.columns; head += shape.headSize) {
        size_t u = head + (shape.adjacent ? 2 * k : k), v = head + (shape.adjacent ? 2 * k + 1 : k + shape.pairs);
        y.row(t)[u] = x.row(t)[u] * c - x.row(t)[v] * s;
        y.row(t)[v] = x.row(t)[u] * s + x.row(t)[v] * c;
      }
    }
  return y;
}

namespace detail {
/// `values` as heads of `size` in blocks of 32 have them: codes up to 127 of a float16 scale.
template <typename T> void roundBlocks(std::vector<T> &values, size_t size) {
  for (size_t head = 0; head < values.size(); head += size)
    for (size_t first = head; first < head + size; first += 32) {
      const size_t end = std::min(first + 32, head + size);
      T most = 0;
      for (size_t i = first; i < end; ++i)
        most = std::max(most, std::abs(values[i]));
      const T scale = T(f16ToF32(f32ToF16(float(most / 127))));
      for (size_t i = first; i < end; ++i)
        values[i] = scale == 0 ? T(0) : std::clamp(std::nearbyint(values[i] / scale), T(-127), T(127)) * scale;
    }
}

/// `x` as f8E4M3FN has it: 3 bits of mantissa, exponents from -6 on, nothing beyond 448.
template <typename T> T roundE4M3(T x) {
  const T magnitude = std::min(std::abs(x), T(448));
  if (!(magnitude > 0))
    return x; // zero, or NaN
  const T step = std::ldexp(T(1), std::max(std::ilogb(magnitude), -6) - 3);
  return std::copysign(std::nearbyint(magnitude / step) * step, x);
}
} // namespace detail

/// A float16 cache, one of 8-bit floats and one of blocks round; a float32 cache keeps the precision of the evaluation.
template <typename T> Cache<T> kvAppend(const Tensor<T> &k, const Tensor<T> &v, const Batch &batch, Cache<T> cache) {
  auto round = [&](T value) {
    return cache.isFloat16 ? T(f16ToF32(f32ToF16(float(value)))) : cache.isE4M3 ? detail::roundE4M3(value) : value;
  };
  for (size_t t = 0; t < k.rows; ++t) {
    auto &entry = cache.sequences[batch.sequences[t]][batch.positions[t]];
    entry.key.assign(k.row(t), k.row(t) + k.columns);
    entry.value.assign(v.row(t), v.row(t) + v.columns);
    std::transform(entry.key.begin(), entry.key.end(), entry.key.begin(), round);
    std::transform(entry.value.begin(), entry.value.end(), entry.value.begin(), round);
    if (cache.hasBlocks)
      detail::roundBlocks(entry.key, cache.keySize), detail::roundBlocks(entry.value, cache.valueSize);
  }
  return cache;
}

/// `sinks` may be null.
template <typename T>
Tensor<T> attention(const Tensor<T> &q, const Batch &batch, const Cache<T> &cache, const std::vector<T> *sinks,
                    const AttentionShape &shape) {
  size_t heads = q.columns / cache.keySize, group = heads / cache.heads;
  Tensor<T> y(q.rows, heads * cache.valueSize);
  for (size_t t = 0; t < q.rows; ++t) {
    std::vector<const typename Cache<T>::Entry *> visible;
    for (auto &[position, entry] : cache.sequences.at(batch.sequences[t])) {
      int64_t behind = int64_t(batch.positions[t]) - position;
      if ((!shape.causal || behind >= 0) && (shape.window == 0 || behind < shape.window))
        visible.push_back(&entry);
    }
    std::vector<T> scores(visible.size());
    for (size_t h = 0; h < heads; ++h) {
      const T *query = q.row(t) + h * cache.keySize;
      T top = sinks ? (*sinks)[h] : -std::numeric_limits<T>::infinity();
      for (size_t j = 0; j < visible.size(); ++j) {
        const T *key = visible[j]->key.data() + h / group * cache.keySize;
        T dot = 0;
        for (size_t i = 0; i < cache.keySize; ++i)
          dot += query[i] * key[i];
        scores[j] = detail::softcapped(T(shape.scale) * dot, shape.softcap);
        top = std::max(top, scores[j]);
      }
      T sum = sinks ? std::exp((*sinks)[h] - top) : T(0);
      for (T &score : scores)
        sum += score = std::exp(score - top);
      for (size_t j = 0; j < visible.size(); ++j)
        for (size_t i = 0; i < cache.valueSize; ++i)
          y.row(t)[h * cache.valueSize + i] += scores[j] / sum * visible[j]->value[h / group * cache.valueSize + i];
    }
  }
  return y;
}

template <typename T> Tensor<T> gatedActivation(const Tensor<T> &gate, const Tensor<T> &up, Activation kind) {
  Tensor<T> y(gate.rows, gate.columns);
  for (size_t i = 0; i < y.values.size(); ++i) {
    T g = gate.values[i], u = up.values[i], f;
    if (kind == Activation::Silu)
      f = g / (1 + std::exp(-g));
    else if (kind == Activation::GeluTanh)
      f = g / 2 * (1 + std::tanh(T(0.79788456080286535588) * (g + T(0.044715) * g * g * g))); // sqrt(2 / pi)
    else if (kind == Activation::GeluErf)
      f = g / 2 * (1 + std::erf(g * T(0.70710678118654752440))); // 1 / sqrt(2)
    else if (kind == Activation::Sigmoid)
      f = 1 / (1 + std::exp(-g));
    else { // NaN passes
      g = g > 7 ? 7 : g;
      f = g / (1 + std::exp(T(-1.702) * g));
      u = (u > 7 ? 7 : u < -7 ? -7 : u) + 1;
    }
    y.values[i] = f * u;
  }
  return y;
}

template <typename T> Tensor<T> add(const Tensor<T> &a, const Tensor<T> &b, double scale) {
  Tensor<T> y = a;
  for (size_t i = 0; i < y.values.size(); ++i)
    y.values[i] += T(scale) * b.values[i];
  return y;
}

/// What 8-bit blocks of 32 columns keep of a value: a code (q8), a code and a residual code in steps of 1 / 256 (q8x2),
/// or a code, and 7 bits more in the two quads of columns with the largest values (q8o2).
enum class Codes { One, Residual, Outliers };
/// The values that such blocks keep of x, computed in float32: d * (code + ...). d = max |x| / 127; with outliers the
/// maximum is that of the other six quads, and d at least max |x| / 16319.
template <typename T> Tensor<T> quantize(const Tensor<T> &x, Codes codes) {
  Tensor<T> y(x.rows, x.columns);
  for (size_t begin = 0; begin < x.values.size(); begin += 32) {
    float quads[8] = {}; // the largest magnitude of each
    for (size_t i = 0; i < 32; ++i)
      quads[i / 4] = std::max(quads[i / 4], std::abs(float(x.values[begin + i])));
    std::sort(quads, quads + 8);
    const float largest = quads[7];
    float d = largest * (1.0f / 127), inverse = largest == 0 ? 0 : 127 / largest;
    if (codes == Codes::Outliers) {
      const float others = quads[5] * (1.0f / 127), least = largest * (1.0f / 16319);
      d = std::max(others, least);
      inverse = others < least ? 16319 / largest : 127 / quads[5];
      if (largest < 1e-30f)
        d = inverse = 0;
    }
    for (size_t i = begin; i < begin + 32; ++i) {
      const float exact = float(x.values[i]) * inverse, code = std::nearbyint(exact);
      const float rest = codes == Codes::Residual ? std::min(127.0f, std::nearbyint((exact - code) * 256)) : 0;
      y.values[i] = T(d) * (T(code) + T(rest) / T(256));
    }
  }
  return y;
}

/// The first `size` of every `room` columns, one group after the other, and zeros up to `columns`.
template <typename T> Tensor<T> gathered(const Tensor<T> &x, size_t size, size_t room, size_t columns) {
  Tensor<T> y(x.rows, columns);
  for (size_t t = 0; t < x.rows; ++t)
    for (size_t c = 0; c < x.columns; ++c)
      if (c % room < size)
        y.row(t)[c / room * size + c % room] = x.row(t)[c];
  return y;
}

} // namespace stepdown::reference
