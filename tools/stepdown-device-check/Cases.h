// What is checked: a function with inputs drawn from N(0, 1), and what it means in float64.
#pragma once
#include "runtime/Functions/FunctionLibrary.h"
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace stepdown::devicecheck {

/// One of the plan; a number that its kind lacks is 0.
struct Case {
  std::string function, kind; ///< "product" or "attention"
  std::string element, result;
  int64_t m = 0, n = 0, k = 0;                                    ///< [m, k] x [k, n]
  int64_t tokens = 0, keys = 0, heads = 0, kvHeads = 0, head = 0; ///< [tokens, heads, head] over [keys, kvHeads, head]
  int64_t window = 0;
  bool causal = false;
  uint64_t seed = 0;
  bool isProduct() const { return kind == "product"; }
  /// Floating-point operations: 2 for each multiply-add, of attention of the keys that queries see.
  double operations() const;
  /// Bytes that have to move: each argument read once, the result written once.
  double bytes() const;
};
Result<Case> caseOf(const nlohmann::json &plan);

/// Inputs of a case, in its element type.
struct Inputs {
  std::vector<std::vector<uint8_t>> bytes;
  std::vector<Array> arrays;
};
Inputs drawInputs(const Case &each);

/// How far a result is from float64.
struct Difference {
  double relative = 0;  ///< |result - reference| / |reference|, over what was compared
  double worst = 0;     ///< the largest difference of a number, in units of what rounding leaves open for it
  size_t compared = 0;  ///< numbers
  size_t notFinite = 0; ///< of all numbers of the result
};
/// Of rows and columns of a product, or tokens of attention, `samples` each, drawn anew; all where there are fewer.
Difference compare(const Case &each, const Inputs &inputs, const Array &result, int64_t samples);

} // namespace stepdown::devicecheck
