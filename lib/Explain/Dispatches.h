// What each dispatch of a step on a device moves and computes, read off the function that its threads run, and how long
// a machine is predicted to take for it. A kernel of the fusion phase may be several dispatches.
//
// A prediction is the longest of five bounds, and the launch: bytes that memory must move, each once; bytes that
// work-groups ask the second-level cache for; operations; products of matrix units; and the longest chain of sums that
// wait for each other in one thread. A launch of fewer work-groups than the machine has units has the share of those
// units alone.
#pragma once
#include "lib/Base/Result.h"
#include "lib/Target/Machines.h"
#include "lib/Target/Target.h"
#include "mlir/IR/BuiltinOps.h"
#include <string>
#include <vector>

namespace stepdown {

/// A batch of `tokens` at the end of a sequence of `length` positions, the last `rows` of which want logits.
struct StepLoad {
  uint64_t tokens, length, rows;
};

/// Of one launch. Bytes of memory are distinct ones: whatever is read twice counts once.
struct DispatchTraffic {
  uint64_t variant = 0;                     ///< bucket that its kernel was made for: the last one that has one
  uint64_t grid[2] = {0, 0};                ///< work-groups along x and y; of no tokens or rows none
  uint64_t busy = 0;                        ///< work-groups that have something to do; 0: all
  uint64_t threads = 0;                     ///< of a work-group
  uint64_t weightsRead = 0;                 ///< weights, norms, tables of angles
  uint64_t cacheRead = 0, cacheWritten = 0; ///< keys and values
  uint64_t otherRead = 0, otherWritten = 0; ///< activations, what a step is given, block tables, logits
  uint64_t asked = 0;                       ///< distinct ones of each work-group, added up: reads
  uint64_t operations = 0;                  ///< on numbers; a multiply-add is two
  uint64_t products = 0;                    ///< operations of matrix units, of whole tiles
  uint64_t chain = 0;                       ///< operations of a thread that wait for each other
  uint64_t groups() const { return grid[0] * grid[1]; }
  uint64_t read() const { return weightsRead + cacheRead + otherRead; }
  uint64_t written() const { return cacheWritten + otherWritten; }
};

struct ExplainedDispatch {
  std::string function, kernel;
  uint64_t times = 1; ///< launches a step
  bool byRows = false;
  bool ofTiles = false;      ///< of a tile kernel: a work-group has a tile of columns and tokens, else one token
  uint64_t columns = 0;      ///< that the grid shares out
  bool byOperands = false;   ///< its code has no form of a loop over tokens and columns: each operand counts whole
  DispatchTraffic one, many; ///< one token behind others; a prompt
};

struct DispatchReport {
  std::string device; ///< the target that was explained
  std::string chip;
  StepLoad one = {}, many = {};
  std::vector<ExplainedDispatch> dispatches; ///< in the order of a step
};

/// What bounds a launch.
enum class Bound { Memory, Cache, Operations, Products, Chain, Launch };
const char *nameOf(Bound bound);

struct Prediction {
  double seconds = 0; ///< with the launch
  Bound bound = Bound::Launch;
};

/// Dispatches of `module` as the packing phase leaves it for a device, for steps of one token at the end of 512
/// positions (the model's where it has fewer), and of a prompt of as many.
DispatchReport explainDispatches(mlir::ModuleOp module, const Target &target);
Prediction predict(const DispatchTraffic &traffic, const Machine &machine);
/// Of a step: every dispatch as often as it runs; `replayed`: as a graph of the driver.
double predictStep(const DispatchReport &report, bool many, const Machine &machine, bool replayed = false);

/// One object for `report`; no line break behind it.
std::string toJson(const DispatchReport &report);
std::string toText(const DispatchReport &report);

} // namespace stepdown
