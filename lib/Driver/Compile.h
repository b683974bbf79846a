// checkpoint or plain module -> artifact: what stepdown-compile and the C API do.
#pragma once
#include "lib/Base/Result.h"
#include "lib/Checkpoint/Adapters/MergedWeights.h"
#include "lib/Checkpoint/QuantisedWeights.h"
#include "lib/Frontend/Frontend.h"
#include "lib/Target/Target.h"
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace stepdown {

struct CompileOptions {
  std::vector<const Target *> targets; ///< code for these; empty: those of "cpu"
  bool cpu = true;                     ///< those of "cpu" are among them, and it stands for more where weights say so
  bool exact = false;                  ///< activations and cache stay float32
  std::string activations = "q8o2";    ///< blocks that quantised weights read: q8o2, q8x2 or q8 (-quantize-activations)
  std::string kvType = "f16";          ///< of keys and values: f16, f32 (always with `exact`), q8_0 or fp8_e4m3
  bool checkWeights = false;   ///< refuse weights and block scales that are NaN or infinite (E0222); reads all of them
  uint64_t maxContext = 0;     ///< positions a sequence may have; 0: the checkpoint's
  int64_t maxStepTokens = 512; ///< tokens of the largest step
  int jobs = 0;                ///< threads; 0: one a core
  std::string from;            ///< the input is IR that this phase left, as compileTo prints it; empty: it is not
  std::string weights;         ///< with `from`, of a model: its checkpoint
  std::string quantize;        ///< what float weights become (QuantisedWeights.h); empty: they stay as they are
  std::vector<AdapterChoice> adapters; ///< merged into the checkpoint's weights, in their order
  AdapterSlots adapterSlots;           ///< room for others beside the weights; none where there are 0 slots
  bool explain = false; ///< tell of a plain module what its functions became; of a model it is always told
  std::string dump;     ///< folder for the IR after every phase, LLVM IR and assembly, or empty
  std::function<void(const std::string &text)> warn; ///< called with what is allowed, but hardly meant
  /// Called with what is being done, and how much of how much.
  std::function<void(const std::string &what, uint64_t done, uint64_t total)> progress;
};

/// The files that compiling `model` reads, of which no output takes the place.
std::vector<std::string> inputFiles(const std::string &model, const CompileOptions &options);

struct CompileReport {
  std::vector<std::pair<std::string, double>> seconds; ///< of each phase and step, in order
  std::string explain, explainJson;                    ///< fusion, memory plan and roofline: text and JSON
};

/// What somebody chose of a model's numbers; empty: nobody did. E0832 for blocks or types that there are not, and where
/// `exact`, which keeps activations and cache float32, leaves no choice.
Status checkNumbers(bool exact, const std::string &activations, const std::string &kvType);
/// E0832 for what no quantisation is called.
Status checkQuantize(const std::string &name);

/// Compiles `text`, a plain MLIR module that messages call `name`, into the artifact `output`, which is whole or
/// untouched. E0833 for text that is no module, E0834 for what no function of an artifact can hold.
Result<CompileReport> compilePlainText(const std::string &text, const std::string &name, const std::string &output,
                                       const CompileOptions &options);

/// Compiles the checkpoint, or plain module (.mlir), at `model` into the artifact `output`, which is whole or
/// untouched. E0832 for an option out of range, E1515 for keys and values that a target does not read, E0903 where
/// `output` cannot be written, E0960 where it is an input.
Result<CompileReport> compileModel(const std::string &model, const std::string &output, const CompileOptions &options);

/// The IR of the checkpoint or plain module after `phase`, as text that can be given back with `from`. E0855, E0856:
/// what was given is not the IR of that phase.
Result<std::string> compileTo(const std::string &model, const std::string &phase, const CompileOptions &options);

/// The explain report alone, compiled as far as it takes; writes nothing.
Result<CompileReport> explainModel(const std::string &model, const CompileOptions &options);

} // namespace stepdown
