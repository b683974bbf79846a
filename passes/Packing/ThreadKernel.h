// Builds the function of one dispatch on a device: what a thread computes, for each token and column.
#pragma once
#include "dialects/Transformer/IR/TransformerOps.h"
#include "lib/Target/Target.h"
#include "lib/Target/WarpFragments.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/SetVector.h"
#include <optional>

namespace stepdown {

/// The value that `value` has the numbers of, at the same rows and columns: operands of activation blocks of float32
/// that leave nothing out, and of casts between these and rows.
mlir::Value sameNumbers(mlir::Value value);

/// How attention over a context is shared out among blocks of threads (SplitAttention.cpp, MatrixAttention.cpp).
struct AttentionSplits {
  static constexpr int64_t kChunk = 128; ///< positions, and threads of a block
  int64_t heads, queries;                ///< of the cache, and of queries for each
  int64_t key, value;                    ///< columns of a head
  int64_t splits;                        ///< of a context
  int64_t rows;                      ///< of a block on matrix units: query heads of its tokens; 0: a block has a token
  std::optional<WarpFragments> warp; ///< of matrix units

  /// None where attention has no such form. Blocks of a token: columns of a head are a multiple of 4, and no more than
  /// 8 query heads share keys. Of matrix units, which `warp` says where there are any: a multiple of 16 columns, keys
  /// and values of binary16, no more query heads than a block has rows, and values of no more
  /// than 512. `positions`: of the longest context.
  static std::optional<AttentionSplits> of(transformer::AttentionOp op, int64_t positions,
                                           const std::optional<WarpFragments> &warp);
  /// Rows that fit into a block's memory and its threads' registers, 32 or 16; 0: not those of one token.
  int64_t rowsOfTile() const;
  /// Sums of values of a query, in front of which maxima and sums of weights lie.
  int64_t sums() const { return splits * heads * queries * value; }
  /// Numbers that splits leave of a query: [splits, query heads, value] sums of values, then [splits, query heads, 2]
  /// maxima and sums of weights.
  int64_t numbers() const { return sums() + splits * heads * queries * 2; }
};

/// A sum or a maximum over the columns of each row that threads share (RowReduction.cpp).
struct RowReduction {
  int64_t columns, threads;
  bool isMaximum;
  /// None where `result` is no such reduction, or of few columns.
  static std::optional<RowReduction> of(mlir::Value result);
};

/// Attention's result and what a launch that joins it computes of it (SplitAttention.cpp).
struct JoinedRows {
  int64_t columns, threads; ///< of a row, and of its block, each with so many numbers of it at most:
  static constexpr int64_t kMostTurns = 8;
  /// None where `maximum` and `rows` are not the largest number of each row of `attention` and an elementwise value of
  /// both, or a block would have too many columns.
  static std::optional<JoinedRows> of(transformer::AttentionOp attention, mlir::Value maximum, mlir::Value rows);
};

/// How products with experts on matrix units are shared out among blocks of threads, in steps of so many tokens and
/// more (MatrixExperts.cpp).
struct ExpertTiles {
  WarpFragments warp;
  int64_t tokens; ///< of a tile: 1, each pair of a token and a rank is one; 16 or 32 of those that share an expert
  int64_t blocks; ///< along x for each token of the step
  bool isDirect() const { return tokens == 1; }
  static ExpertTiles of(transformer::ExpertLinearOp op, int64_t minTokens, const WarpFragments &warp);
  /// Entries for tiles that each row of the table has, enough for all of `all`, in steps from `minTokens` on.
  static int64_t entriesOfToken(transformer::ExpertLinearOp op, mlir::ArrayRef<ExpertTiles> all,
                                mlir::ArrayRef<int64_t> minTokens);
};

/// A product with experts, and what its operand has become: see TileProducts::Operand.
struct ExpertProduct {
  transformer::ExpertLinearOp op;
  mlir::Value scales, rows;
};

class ThreadKernel {
public:
  /// Values of a kernel's body that lie in memory, and what of the program they are.
  using Places = llvm::DenseMap<mlir::Value, mlir::Value>;

  /// `byRows`: the kernel computes rows whose logits are wanted.
  ThreadKernel(mlir::Location loc, const Layout &layout, const Places &places, bool byRows);

  /// A private function at `builder` that computes `result`, a value of the kernel's body, where it is to lie. Emits a
  /// diagnostic and fails where an operation has no form for a thread.
  mlir::FailureOr<mlir::func::FuncOp> build(mlir::OpBuilder &builder, mlir::Value result);

  /// The same of `members`, values of rows: sums or maxima of their columns (RowReduction) and what is computed of
  /// these, in their order by a block of `threads` for each row. They are the function's results.
  mlir::FailureOr<mlir::func::FuncOp> buildRows(mlir::OpBuilder &builder, mlir::ArrayRef<mlir::Value> members,
                                                int64_t threads);

  /// The same of what is made of the attention that shareAttention() told of, whose numbers threads have joined: its
  /// largest number of each row and what is computed of both (JoinedRows), in their order, and the attention itself if
  /// it is a member. A thread joins the numbers that it goes on with, so none of them lies in memory for that.
  mlir::FailureOr<mlir::func::FuncOp> buildJoined(mlir::OpBuilder &builder, mlir::ArrayRef<mlir::Value> members);

  /// The same of the ids and the weights of `op`, which are the function's results: a block has a token
  /// (ThreadExperts.cpp).
  mlir::FailureOr<mlir::func::FuncOp> buildRoute(mlir::OpBuilder &builder, transformer::RouteOp op);

  /// The same of `table`, [tokens, ranks + entries] of i32, which says how pairs of a token and a rank are grouped by
  /// the experts that `op` reads (MatrixExperts.cpp).
  mlir::FailureOr<mlir::func::FuncOp> buildGroups(mlir::OpBuilder &builder, mlir::Value table,
                                                  transformer::ExpertLinearOp op, const ExpertTiles &tiles);
  /// The same of `result`, which is computed of `products` at its own places, on matrix units; they have one table of
  /// experts and as many rows each. Arguments are the same for all `tiles`.
  mlir::FailureOr<mlir::func::FuncOp> buildExperts(mlir::OpBuilder &builder, mlir::Value result,
                                                   mlir::ArrayRef<ExpertProduct> products, mlir::Value table,
                                                   const ExpertTiles &tiles);
  /// The products that a number of `value` is computed of, each at the same place as the number; `all` is false where
  /// one is read at another, or has a bias.
  llvm::SmallVector<mlir::Operation *> productsOf(mlir::Value value, bool inPlace, bool &all);

  /// The same of `members` that read nothing of each other, of each of which a thread computes a number alone: a
  /// token's columns of all of them lie one behind the other.
  mlir::FailureOr<mlir::func::FuncOp> buildEach(mlir::OpBuilder &builder, mlir::ArrayRef<mlir::Value> members);
  /// Numbers of a token that threads compute for `value`, a value of rows or of what is appended to a cache.
  static int64_t numbersOf(mlir::Value value);

  /// Of attention: `partial`, [tokens, splits.numbers()], is what splits leave of `op`, and its result is joined of it.
  void shareAttention(transformer::AttentionOp op, mlir::Value partial, const AttentionSplits &splits) {
    shared = Shared{op, partial, splits};
  }

  llvm::SmallSetVector<mlir::Value, 8> inputs; ///< of the dispatch: values of the program
  llvm::SmallVector<int64_t> sources;          ///< see DispatchOp; results come behind all inputs
  llvm::SmallVector<mlir::Attribute> dims;     ///< see DispatchOp

private:
  using Value = mlir::Value;
  using ValueRange = mlir::ValueRange;
  using Values = llvm::SmallVector<Value>;
  using Body = llvm::function_ref<void(Value token, Value column)>;

  /// The argument for `of`, whose part is that of a batch or cache; `of` is null for the result.
  Value argument(Value of, int64_t part = 0);
  Value addArgument(Value of, int64_t part, mlir::MemRefType type, llvm::ArrayRef<int64_t> dims, Value source);
  void bound(Value argument, int64_t value);                             ///< see stepdown_parameter
  void forEach(int64_t columns, Value like, int64_t threads, Body body); ///< threads of a block; 0: as many as fit

  /// The number of `tensor` at `indices`: read where it lies, else computed. Activation blocks are indexed as rows.
  Value at(Value tensor, ValueRange indices);
  Value generic(mlir::linalg::GenericOp op, ValueRange indices);
  Values loopsAt(mlir::linalg::GenericOp op, ValueRange indices);
  Value bodyAt(mlir::linalg::GenericOp op, ValueRange loops, Value before);
  void reduceRows(mlir::linalg::GenericOp op, const RowReduction &how);
  struct ExpertLane { ///< of a warp that multiplies with an expert
    const WarpFragments &w;
    Value inner;
    Values tokenOf, rankOf; ///< of its rows of A, one tile of tokens after the other
    Values rowOf;           ///< of the stack of weights, of its rows of B
  };
  Values sumsOfWarp(transformer::ExpertLinearOp op, Value weight, Value rows, const ExpertLane &lane, Value share,
                    int64_t shares);
  Value sharedNumbers(int64_t count);
  Value sharedMemory(llvm::ArrayRef<int64_t> shape, mlir::Type element);
  Value partOfRow(mlir::linalg::GenericOp op, const RowReduction &how, ValueRange place, Value lane);
  void joinParts(Value part, Value shared, Value lane, const RowReduction &how, llvm::function_ref<void(Value)> take);
  Values quadAt(Value x, Value token, Value column);
  struct WeightRow {
    Value row, first; ///< of the weight, and the column of x that its first one is multiplied with; null: 0
    Value share = {}; ///< which of `shares` of the blocks of columns, every so manieth, as many each; null: all
    int64_t shares = 1;
  };
  Value linear(mlir::Value x, mlir::Value weight, Value token, const WeightRow &of);
  Value expertSum(transformer::ExpertLinearOp op, Value token, Value column, Value share = {}, int64_t shares = 1);
  Value withBias(transformer::ExpertLinearOp op, Value sum, Value token, Value column);
  Value expertRow(transformer::ExpertLinearOp op, Value token, Value column);
  int64_t blocksOf(Value weight) const;
  bool computeShared();
  Value combineExperts(transformer::CombineExpertsOp op, Value token, Value column);
  Value embedding(transformer::EmbeddingOp op, Value token, Value column);
  Value rotate(transformer::RopeOp op, Value token, Value column);
  void place(Value value, Value token, Value column); ///< computes a number where it is to lie
  Value quantize(transformer::QuantizeOp op, Value token, Value column);
  void attend(transformer::AttentionOp op, Value token, Value head);
  void attendSplit(transformer::AttentionOp op);
  void attendTile(transformer::AttentionOp op);
  void joinSplits(transformer::AttentionOp op);
  Value joined(transformer::AttentionOp op, Value token, Value column);
  void append(transformer::KVAppendOp op, Value token, Value column);
  Value refuse(mlir::Operation *op, const llvm::Twine &what);

  struct Paged { ///< where a position of a sequence lies
    Value block, place;
  };
  Paged paged(Value batch, Value token, Value position, Value keys);
  /// `lane`: of the group that begins at `at`.
  Values cacheIndices(const uint32_t (&axes)[STEPDOWN_MAX_RANK], const Paged &at, Value head, Value channel,
                      Value lane = {});
  Value cached(Value cache, bool ofKeys, const Paged &at, Value head, Value channel);
  Values valueAt(Value values, const Paged &at, Value head, Value channel); ///< four neighbouring channels
  struct Seen {             ///< what a block of threads has of the context
    Value begin, end;       ///< positions
    Value first, lastChunk; ///< chunks, the last one behind the end
  };
  Seen seenBy(transformer::AttentionOp op, Value token);
  Value firstOf(Value split, const Seen &seen);
  Values scores(transformer::AttentionOp op, Value token, Value head, Value keys, const Paged &at);
  void put(Value cache, bool ofKeys, const Paged &at, Value head, Value channel, Value number);

  Value number(int64_t value);
  Value real(double value);
  Value add(Value a, Value c);
  Value mul(Value a, Value c);
  Value div(Value a, int64_t c);
  Value rem(Value a, int64_t c);
  Value less(Value a, Value c);
  Value select(Value condition, Value a, Value c);
  Value yes();
  Value no();
  Value load(Value memref, ValueRange indices);
  Value index(Value memref, ValueRange indices); ///< an i32 that counts
  Value loop(Value lower, Value upper, Value start, llvm::function_ref<Value(Value, Value)> body);
  Values loop(Value lower, Value upper, ValueRange start, llvm::function_ref<Values(Value, ValueRange)> body);

  Values stride(Value lower, Value upper, int64_t step, ValueRange start,
                llvm::function_ref<Values(Value, ValueRange)> body);
  void when(Value condition, llvm::function_ref<void()> body);
  void share(int64_t count, int64_t threads, Value lane, llvm::function_ref<void(Value)> body);
  Values choose(Value condition, ValueRange otherwise, llvm::function_ref<Values()> body);

  struct Shared {
    transformer::AttentionOp op;
    Value partial;
    AttentionSplits splits;
  };
  std::optional<Shared> shared;
  mlir::Location loc;
  const Layout &layout;
  const Places &places;
  const int64_t extent;
  void begin(mlir::OpBuilder &builder);
  mlir::FailureOr<mlir::func::FuncOp> finish();

  Value result; ///< or the first of `members`
  llvm::SmallVector<Value> members;
  llvm::DenseMap<Value, Value> scalars; ///< of members: a row's number, which all threads have
  std::pair<Value, Value> held;         ///< a value, and its number that the thread has where it computes others of it
  mlir::func::FuncOp function;
  std::optional<mlir::OpBuilder> b;
  llvm::DenseMap<std::pair<Value, int64_t>, Value> arguments;
  llvm::DenseMap<unsigned, int64_t> bounds; ///< of arguments
  bool failed = false;
};

} // namespace stepdown
