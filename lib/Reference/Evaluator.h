// The reference evaluator: interprets a transformer module on the weights of its checkpoint, with no code generation.
// Every lowering is tested against it, before and after fusion (it enters transformer.kernel).
#pragma once
#include "lib/Base/Result.h"
#include "lib/Checkpoint/Checkpoint.h"
#include "mlir/IR/BuiltinOps.h"
#include <memory>
#include <vector>

namespace stepdown::reference {

enum class Precision { Float32, Float64 };

/// One step: a ragged batch. All but `rows` are [T].
struct Step {
  std::vector<int32_t> tokens, sequences, positions;
  std::vector<int32_t> rows; ///< [R] tokens of the step whose logits are wanted
};

struct Logits {
  size_t rows = 0, vocabulary = 0;
  std::vector<double> values; ///< [rows, vocabulary]
  const double *row(size_t r) const { return values.data() + r * vocabulary; }
};

/// Runs steps of one module; keeps the caches between them.
class Evaluator {
public:
  /// `module` and `checkpoint` outlive the evaluator.
  Evaluator(mlir::ModuleOp module, const Checkpoint &checkpoint, Precision precision);
  ~Evaluator();

  /// Errors: E0880 an operation that is not of the transformer dialect, E0881 a token, row or length outside its range,
  /// E0882 a weight whose storage type is not the checkpoint's, E0220 and E0221 a weight that the checkpoint lacks.
  Result<Logits> step(const Step &step);

  class Machine;

private:
  std::unique_ptr<Machine> machine;
};

/// The logits of every token of one sequence that begins at position 0.
Result<Logits> evaluate(mlir::ModuleOp module, const Checkpoint &checkpoint, const std::vector<int32_t> &tokens,
                        Precision precision);

/// The mean over t of -log softmax(logits[t])[tokens[t + 1]]; logits has a row for every token.
double meanNegativeLogLikelihood(const Logits &logits, const std::vector<int32_t> &tokens);

} // namespace stepdown::reference
