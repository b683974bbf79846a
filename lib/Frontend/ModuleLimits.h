// How large a plain module may be. Parsers and passes recurse with its nesting, and take memory many times its bytes,
// so that what is beyond every program that someone writes is refused before they see it.
#pragma once
#include "lib/Base/Result.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringRef.h"

namespace stepdown {

constexpr uint64_t kMostModuleBytes = uint64_t(1) << 28;   ///< of text or bytecode
constexpr uint64_t kMostNesting = 128;                     ///< brackets inside each other; regions too
constexpr uint64_t kMostListed = uint64_t(1) << 20;        ///< elements of one constant that are written one by one
constexpr uint64_t kMostOperations = 100000;               ///< of all functions
constexpr uint64_t kMostConstantBytes = uint64_t(1) << 28; ///< of all constants, splats as large as their type

/// E0843 where a text or bytecode has too many `bytes`, before anyone reads them. `name` is for messages.
Status checkModuleBytes(uint64_t bytes, llvm::StringRef name);

/// What can be told of `text` without parsing it: bytes (E0843); brackets, and signs before a number, inside each other
/// (E0842); elements of dense<[...]> (E0844). Of bytecode, the bytes.
Status checkModuleText(llvm::StringRef text, llvm::StringRef name);

/// What only the parsed module tells: regions inside each other (E0842), operations (E0845), bytes of constants
/// (E0844).
Status checkModuleSize(mlir::ModuleOp module, llvm::StringRef name);

} // namespace stepdown
