// Kernels in the LLVM dialect become native code for one target.
#pragma once
#include "lib/CodeGen/ObjectLinker.h"
#include "lib/Target/Target.h"
#include "mlir/IR/BuiltinOps.h"
#include <functional>

namespace stepdown {

/// Optimises and assembles the functions of `kernels`, a module of llvm.func and llvm.mlir.global as the cpu stage
/// leaves it, with `jobs` threads (at least 1), and links them into one position-independent block. Equal modules give
/// equal bytes, whatever `jobs` and the building machine are. Functions that differ in their names alone share one
/// entry and count as one. `progress` is called after each function, from any thread but never from two at once.
/// `dump`, unless empty, is a folder that exists; it gets <function>.<target>.ll and .s of every distinct function,
/// optimised; without it, what LLVM made before is taken from the folder that STEPDOWN_CODE_STORE names (CodeStore.h),
/// with the same bytes. Errors: E0810 unknown target, E0811 no translation, E0812 the code generator refuses, E0813 to
/// E0817 of ObjectLinker (a call out of the kernels, writable data, an absolute address), E0903 `dump` or that
/// folder cannot be written.
Result<NativeCode> generateCode(mlir::ModuleOp kernels, const Target &target, int jobs,
                                std::function<void(int done, int total)> progress = {}, const std::string &dump = {});

} // namespace stepdown
