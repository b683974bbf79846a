// Tile kernels as text with parameters: the mathematics is written once for all chips, and how large its tiles are, how
// deep its rings, how many warps its roles have comes from a table.
#pragma once
#include "lib/Base/Result.h"
#include "lib/Target/Layout.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/ArrayRef.h"
#include <map>
#include <optional>
#include <vector>

namespace stepdown {

/// The parameters of lib/Kernels/Matmul.mlir: C [M, N] = A [M, K] B [K, N], or A B^T with B [N, K], all with rows of
/// neighbouring elements.
struct MatmulParameters {
  int64_t m = 128, n = 256, k = 64;            ///< elements of a tile of C, and of the reduction that a slot holds
  int64_t stages = 4;                          ///< slots
  int64_t warps = 8;                           ///< of the role that multiplies
  int64_t registers = 232, loadRegisters = 40; ///< of a thread of each role
  int64_t group = 8;                           ///< tiles of rows that run next to each other
  int64_t registerFile = 65536;                ///< registers that the chip gives a block
  int64_t cluster = 1;                         ///< blocks, of neighbouring tiles of rows, that read B together
  int64_t shares = 1;                          ///< of the sum over k, each with rows of C of its own
  std::string element = "bf16";                ///< or f16; i8, and on sm_90a f8E4M3FN and f8E5M2, with B [N, K]
  std::string result = "f32";                  ///< or bf16, f16; of i8 i32
  bool transposeB = false;                     ///< B is [N, K]
};

/// A module with the tile.kernel @matmul. E0561 where the parameters do not make a kernel that verifies, with the line
/// of the text.
Result<mlir::OwningOpRef<mlir::ModuleOp>> matmulKernel(mlir::MLIRContext &context, const MatmulParameters &parameters);

/// A module with the tile.kernel @scaled_matmul: C [M, N] = A [M, K] B [N, K]^T of fp8 with scales, `k` being 128 and
/// `n` a part of it; scales of A [M, K / 128] and of B [N / 128, K / 128] in float32, sizes rounded up, or with one row
/// or column for all. E0561 where the parameters do not make a kernel that verifies, and for other elements.
Result<mlir::OwningOpRef<mlir::ModuleOp>> scaledMatmulKernel(mlir::MLIRContext &context,
                                                             const MatmulParameters &parameters);

/// The parameters of lib/Kernels/QuantisedMatmul.mlir: Y [T, M] = X [T, K] W^T, W [M, K] in packed blocks of a
/// quantised storage type, X binary16 with rows of neighbouring elements and a scale a row [1, T].
struct QuantisedMatmulParameters {
  int64_t m = 64, n = 8;                       ///< rows of the weight and tokens of a tile
  int64_t weightStages = 4, tokenStages = 8;   ///< slots, of 256 and of 64 columns
  int64_t warps = 4;                           ///< of the role that multiplies
  int64_t registers = 168, loadRegisters = 40; ///< of a thread of each role
  int64_t group = 1;                           ///< tiles of rows that run next to each other
  bool addend = false;                         ///< Y = R + X W^T, R [T, M] an argument in front of Y
  const Layout *layout = &kTiles16;            ///< of the weight's blocks
  const BlockFormat *format = nullptr;         ///< of the weight
};

/// The tile that products of models have on `chip` in steps of `tokens` tokens or more, of no storage type yet: within
/// the registers and the shared memory of a unit whatever that is. None where the chip has no kernel.
std::optional<QuantisedMatmulParameters> quantisedMatmulOn(llvm::StringRef chip, int64_t tokens = 1);

/// A module with the tile.kernel @quantised_matmul. E0561 where the parameters do not make a kernel that verifies.
Result<mlir::OwningOpRef<mlir::ModuleOp>> quantisedMatmulKernel(mlir::MLIRContext &context,
                                                                const QuantisedMatmulParameters &parameters);

/// The parameters of lib/Kernels/Attention.mlir: O [queries, heads d] of Q [queries, heads d] and K, V [keys, key heads
/// d], all with rows of neighbouring elements; which queries see which keys is in a table (attentionTiles).
struct AttentionParameters {
  int64_t m = 128, n = 128, d = 128;           ///< queries and keys of a tile; columns of a head, in 64
  int64_t stages = 2;                          ///< slots of K and of V each
  int64_t warps = 8;                           ///< of the role that attends
  int64_t registers = 240, loadRegisters = 24; ///< of a thread of each role
  int64_t group = 1;                           ///< tiles of queries that run next to each other
  int64_t registerFile = 65536;                ///< registers that the chip gives a block
  double scale = 1;                            ///< of a query times a key, positive
  double cap = 0;                              ///< scores become cap tanh(score / cap); 0: as they are
  int64_t left = kUnbounded, right = 0;        ///< keys that a query sees before its own and behind it
  int64_t headsOfAKey = 0;                     ///< heads of queries that share keys; 0: as many as K says
  int64_t firstValue = 0;                      ///< column of V at which the values begin
  bool sinks = false;                          ///< each head has one more score: float32 [1, heads], in front of O
  std::string element = "bf16", result = "bf16";
  /// No bound of the keys that are seen. right = 0 is causal, right = kUnbounded full attention.
  static constexpr int64_t kUnbounded = int64_t(1) << 30;
};

/// A module with the tile.kernel @attention. E0561 for a scale that is not positive, and where the parameters do not
/// make a kernel that verifies.
Result<mlir::OwningOpRef<mlir::ModuleOp>> attentionKernel(mlir::MLIRContext &context,
                                                          const AttentionParameters &parameters);

/// One sequence of a batch: where its queries and its keys begin among all, and how many they are. The last query
/// stands at the last key; there is at least one key.
struct AttentionSequence {
  int64_t firstQuery, queries, firstKey, keys;
};

/// The table of tiles [tiles, 5] that @attention goes through for a batch: of each tile its first query, the end of its
/// sequence's queries, the first key and the end of the keys that it sees, and the key of its first query.
std::vector<int32_t> attentionTiles(const AttentionParameters &parameters, llvm::ArrayRef<AttentionSequence> batch);

/// `text` with $(name) replaced by the parameter of that name, parsed and verified; `name` stands in locations. E0561
/// for a name that has no parameter, and for what the parser and the verifier say.
Result<mlir::OwningOpRef<mlir::ModuleOp>> parseKernel(mlir::MLIRContext &context, llvm::StringRef text,
                                                      llvm::StringRef name,
                                                      const std::map<std::string, std::string> &parameters);

} // namespace stepdown
