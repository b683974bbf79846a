// Upstream's canonical forms are taken but for a few. A pattern is known by the name of its class, which every pattern
// carries for debugging. Nothing says when LLVM renames one: test/run/operations.py holds a program for each entry that
// gives another result with the pattern than without.
#include "lib/Pipeline/Canonicalization.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace stepdown {

static constexpr const char *kUnsound[] = {
    // A value that scf.condition hands on twice becomes the other branch's,
    // https://github.com/llvm/llvm-project/issues/219456.
    "WhileMoveIfDown",
    // What a cast to fewer bits cut off comes back, issues 90238 and 90296.
    "IndexCastOfIndexCast",
    "IndexCastUIOfIndexCastUI",
    // Two roundings become one (added by pull request 139925).
    "TruncFSIToFPToSIToFP",
    "TruncFUIToFPToUIToFP",
    // An array that grows in a loop keeps the size that its first one is known to have: what is yielded is cast to it.
    "ForOpTensorCastFolder",
    // An array that is known to be empty becomes one of such a type in the loop, too, which no slice in it fits then:
    // MLIR verifies none that begins where an array ends.
    "FoldTensorCastOfOutputIntoForallOp",
    // Where the second transposition undoes the first, it becomes what was transposed, be its type another or not.
    "FoldTransposeWithTranspose",
};

std::unique_ptr<Pass> createSoundCanonicalizer(Regions regions) {
  SmallVector<std::string> unsound;
  for (const char *name : kUnsound)
    for (const char *scope : {"(anonymous namespace)::", "{anonymous}::", ""}) // as Clang writes it, and GCC
      unsound.push_back(std::string(scope) + name);
  GreedyRewriteConfig config;
  config.setRegionSimplificationLevel(regions);
  return createCanonicalizerPass(config, unsound);
}

} // namespace stepdown
