// What the compiler did with a plain module and what that costs: of each function the operations that are left after
// fusion and what was joined in them, what keeps the others apart, the arrays it places, and bytes and operations where
// types know them. Everything is read off the module between phases.
#pragma once
#include "dialects/Transformer/IR/FusionRemarks.h"
#include "lib/Base/Result.h"
#include "mlir/IR/BuiltinOps.h"
#include <optional>
#include <string>
#include <vector>

namespace stepdown {

/// What only run-time sizes tell is nothing.
using Known = std::optional<uint64_t>;

/// An operation as the module was written, "math.exp" at "program.mlir:6:8".
struct WrittenOp {
  std::string op, place;
};

/// A structured operation after fusion.
struct FunctionOperation {
  std::string op, place;
  std::vector<WrittenOp> computes; ///< what it was made of, in the order in which it computes
  std::vector<int64_t> loops;      ///< iterations of each; negative: known when run
  Known times;                     ///< how often a call runs it: the loops around it
  uint64_t perPoint = 0;           ///< operations on values for each point of the loops
  /// Of one run: each operand read once, each result written once; multiplications, additions, comparisons, functions.
  Known operations, read, written;
};

/// A result of one structured operation that another operation reads: stored, since nothing joined the two.
struct FunctionEdge {
  int producer = 0;  ///< index into FunctionReport::operations
  int consumer = -1; ///< or -1: `reader` is no structured operation
  WrittenOp reader;
  std::string reason; ///< what fusion said of the two
};

struct PlacedArray {
  std::string type;  ///< "f32 [37, 43]"
  std::string where; ///< "result", "scratch" or "stack"; the first two lie in the range that a call has for arrays
  std::string place;
  Known bytes;
  bool inLoop = false;
};

/// Arrays as the code of one target has them.
struct TargetArrays {
  std::string target;
  std::vector<PlacedArray> arrays;
  uint64_t stack = 0;
  Known range; ///< what a call takes of its range, where sizes are known and no loop takes any
};

/// A kernel that the code for a chip launches: a tile kernel, or a thread for each element of a structured operation.
struct ExplainedLaunch {
  std::string name;    ///< the tile kernel's; empty for threads
  WrittenOp op;        ///< what it stands for
  Known times;         ///< how often a call launches it
  Known read, written; ///< bytes of one launch: each operand once
};

struct TargetKernels {
  std::string target;
  std::vector<ExplainedLaunch> kernels;
};

/// Operations that threads compute on a chip although it has tile kernels for others of their kind:
/// "OPERATION (FILE:LINE:COLUMN): REASON".
struct LeftToThreads {
  std::string target;
  std::vector<std::string> reasons;
};

struct FunctionReport {
  std::string name;
  std::vector<FunctionOperation> operations;
  std::vector<FunctionEdge> edges;
  std::vector<TargetArrays> targets;
  std::vector<TargetKernels> kernels; ///< of targets that are chips
  Known totalOperations;              ///< of a call
};

/// Reads a plain module on its way; `written` is the module that the frontend made, before any phase ran.
class FunctionExplainer {
public:
  explicit FunctionExplainer(mlir::ModuleOp written);
  /// The module after the linalg phase, and what its passes said.
  void takeOperations(mlir::ModuleOp lowered, const FusionRemarks &remarks);
  /// The module after the buffers phase of `target`, a chip: all that is structured is a launch.
  void takeKernels(mlir::ModuleOp lowered, const std::string &target);
  /// The module after the vector phase of `target`.
  void takeArrays(mlir::ModuleOp lowered, const std::string &target);

  std::vector<FunctionReport> functions;
  std::vector<LeftToThreads> left; ///< of all functions

private:
  std::vector<WrittenOp> writtenAt(mlir::Operation *op) const;
  llvm::DenseMap<mlir::Location, WrittenOp> writtenOps; ///< by the place of each operation, and of those inside it
};

std::string toText(const FunctionExplainer &explained);
std::string toJson(const FunctionExplainer &explained);

} // namespace stepdown
