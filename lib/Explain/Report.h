// What the compiler did with a model and what that costs: which producer and consumer share a kernel and what kept the
// others apart, the memory plan in bytes, and what each kernel reads, writes and computes. Everything is read off the
// module after the fusion phase, what its passes said, and the step program.
#pragma once
#include "dialects/Transformer/IR/FusionRemarks.h"
#include "lib/Artifact/ProgramBuilder.h"
#include "mlir/IR/BuiltinOps.h"
#include <string>
#include <vector>

namespace stepdown {

/// An operation of the frontend's module.
struct ExplainedOp {
  std::string op;   ///< "rms_norm"
  std::string name; ///< the tensor or step it stands for, "blk.{layer}.attn_norm"; empty: what lies outside a function
  int kernel = -1;  ///< index into FusionReport::kernels, or -1: no kernel holds it
};

struct ExplainedEdge {
  std::string function; ///< "layer", "step"
  ExplainedOp producer, consumer;
  bool fused = false;
  std::string reason; ///< why not, or empty
  /// Where the values between become activation blocks: a kernel, or -1 where they do not; and what kept that out of
  /// the producer's kernel.
  int packingKernel = -1;
  std::string packingReason;
};

/// Bytes and operations of one dispatch. Weights as packed; a cache counts the positions that are visible.
struct KernelTraffic {
  uint64_t tokens = 0, read = 0, written = 0, operations = 0;
};

struct ExplainedKernel {
  std::string function, label;
  std::string name;   ///< of the generated functions, "linear_2"
  uint64_t times = 1; ///< dispatches a step
  bool byRows = false;
  KernelTraffic one, many; ///< one token after many - 1 others; a prompt of many tokens
};

struct FusionReport {
  std::vector<ExplainedKernel> kernels;
  std::vector<ExplainedEdge> edges;
};

struct CacheGroupPlan {
  uint32_t layers, heads, key, value, window; ///< key, value: channels of a head
  std::string element;                        ///< "f16"
  uint64_t headBytes;                         ///< of key and value of one head, layer and token
  uint64_t bytesPerToken() const { return uint64_t(layers) * heads * headBytes; }
};

struct MemoryPlan {
  uint64_t weights = 0;     ///< the packed weights section
  uint64_t activations = 0; ///< the arena, for the largest step
  uint64_t logits = 0;      ///< rows of a step, as many as it has tokens
  uint64_t inputs = 0;      ///< tokens, positions, sequences and rows of the largest step
  uint64_t operands = 0;    ///< the words of every launch of a step
  uint64_t largestStep = 0; ///< its tokens
  uint64_t positions = 0;   ///< of the longest sequence
  std::vector<CacheGroupPlan> groups;
  uint64_t bytesPerToken() const;
};

/// Edges and kernels of `fused`, the module after the fusion phase, and what its passes said; of kernels no name yet.
FusionReport explainFusion(mlir::ModuleOp fused, const FusionRemarks &remarks);
/// Tells each kernel's traffic, in the module that explainFusion saw.
void measureKernels(mlir::ModuleOp fused, const Layout &layout, FusionReport &report);
/// Fills in the names of the kernels from `lowered`, the same module after the packing phase.
void nameKernels(mlir::ModuleOp lowered, FusionReport &report);

MemoryPlan memoryPlan(const BuiltProgram &program, uint64_t weightBytes);

/// {"activations", "cache_groups", "kv_bytes_per_token", "weights", ...} in bytes; one object.
std::string toJson(const MemoryPlan &plan);
/// `devices`: JSON of the dispatches of each device (lib/Explain/Dispatches.h).
std::string toJson(const FusionReport &report, const MemoryPlan &plan, const std::vector<std::string> &devices);
std::string toText(const FusionReport &report, const MemoryPlan &plan);

} // namespace stepdown
