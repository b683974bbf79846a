// What the compiler knows of a chip, as values: instruction sets, how blocks lie in memory, how steps are cut.
#pragma once
#include "include/stepdown/Artifact.h"
#include "lib/Target/Layout.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include <string>
#include <vector>

namespace stepdown {

/// A token-count bucket: steps of at least minTokens tokens run `tile` tokens at a time. A linear layer's unit of work
/// is `group` such tiles, whose activations stay in the second-level cache while all weights pass. On a device kernels
/// take tokens one by one (tile 1), but for products, whose tiles are wider from bucket to bucket (TileProduct.cpp).
struct Bucket {
  int minTokens, tile, group;
};

/// The instructions that kernels name, as LLVM's intrinsics. `codes` are unsigned bytes, `activations` signed ones.
struct Instructions {
  int lanes; ///< of 32 bits in a register
  /// (sums, codes, activations): each 32-bit sum plus four products. With `pairs`: (codes, activations), the sums of
  /// two products in 16 bits, which saturate.
  const char *dot;
  const char *pairs;  ///< (sums, ones): neighbours of 16 bits as one sum of 32; or null
  bool signedCodes;   ///< `dot` takes codes as signed bytes: they must be below 128
  const char *lookUp; ///< (table, numbers below 16): the bytes of a table; where a register has several tables, of each
  const char *words;  ///< (numbers of 16 bits, others): the sums of two neighbours' products in 32 bits; or null
  /// (sums, numbers of bfloat16, others): each float32 sum plus two neighbours' products, which are flushed to zero
  /// where they are subnormal; or null
  const char *bfloats;
};

/// What stays in a target's registers.
struct Unrolling {
  int tokens;                  ///< of a tile, whose accumulators of a row tile stay
  int queryRows;               ///< of attention
  int blockRows, blockVectors; ///< of a block of a matrix product, vectors of the layout's rows
  int prefetchBytes;           ///< how far ahead of a streamed weight to prefetch
};

/// The first members are columns of lib/Base/Targets.def, which says what they mean; of a target with a chip they are
/// those of the processor beside it.
struct Target {
  const char *name;
  stepdown_level id;
  const char *architecture;
  const char *processor;
  const char *features;
  bool inCpu;
  Instructions instructions;
  Unrolling unrolling;
  const Layout *layout;           ///< of packed weights and of rows of activations
  llvm::ArrayRef<Bucket> buckets; ///< ascending, the first from 1 token on
  const char *road;               ///< that leads to its code: lib/Pipeline/Phases.h
  const char *device;             ///< that runs its code: the target that an artifact lists it under
  const char *chip;               ///< that kernels are compiled for, where they run beside a processor; else null
};

/// All targets: processors, those of an architecture lowest first, then devices beside one. Those of one road share
/// layout and buckets: they go together until its fork, and an artifact has one program and one copy of the weights for
/// them.
llvm::ArrayRef<Target> targets();
/// The highest of those that "cpu" stands for, whose road stands for all where none is named.
const Target &defaultTarget();
/// The target called `name`, or null.
const Target *findTarget(llvm::StringRef name);
/// What `name` stands for: one target, those of "cpu" (which stands for what is compiled where no target is named), or
/// none where it is unknown.
std::vector<const Target *> targetsNamed(llvm::StringRef name);
/// What "cpu" stands for besides, where weights are bfloat16: processors of its architecture with products of these.
std::vector<const Target *> targetsOfBFloats();
/// Whether "cpu" is among `names`, with commas between.
bool namesCpu(llvm::StringRef names);
/// The names that targetsNamed() takes.
std::vector<std::string> targetNames();

} // namespace stepdown
