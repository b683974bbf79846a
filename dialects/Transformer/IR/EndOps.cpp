// Weights and what comes before and after the layers: weight, embedding, select_rows.
#include "dialects/Transformer/IR/TransformerOps.h"

using namespace mlir;
using namespace stepdown::transformer;

std::string WeightOp::getTensorName(int64_t index) {
  auto [before, after] = getTensor().split("{layer}");
  return isPerLayer() ? (before + Twine(index) + after).str() : getTensor().str();
}

int64_t WeightOp::getStoredRows() {
  const int64_t rows = getResult().getType().getDimSize(0);
  return getGroups() ? rows / (*getGroups())[1] * (*getGroups())[0] : rows;
}

int64_t WeightOp::getStoredColumns() {
  RankedTensorType type = getResult().getType();
  return getColumns() ? int64_t(*getColumns()) : type.getRank() == 1 ? 1 : columns(type);
}

LogicalResult WeightOp::verify() {
  auto [before, after] = getTensor().split("{layer}");
  if (getTensor().empty() || before.find_first_of("{}") != StringRef::npos ||
      after.find_first_of("{}") != StringRef::npos) // C2
    return emitOpError("expects a tensor name with at most one '{layer}', but got '") << getTensor() << "'";
  RankedTensorType type = getResult().getType();
  if (auto groups = getGroups())
    if (groups->size() != 2 || (*groups)[0] < 1 || (*groups)[1] < (*groups)[0] ||
        type.getDimSize(0) % (*groups)[1]) // C4
      return emitOpError("expects groups [n, m] with 1 <= n <= m and m a divisor of ")
             << type.getDimSize(0) << " rows, but got [" << *groups << "]";
  if (auto columns = getColumns())
    if (!isMatrix(type) || cast<BlockType>(type.getElementType()).getElements() != 1 || int64_t(*columns) < 1 ||
        int64_t(*columns) > type.getDimSize(1)) // C5
      return emitOpError("expects columns of a matrix of blocks of one value, 1 to those of ")
             << type << ", but got " << int64_t(*columns);
  if (auto rows = getRows()) {
    int64_t count = getStoredRows();
    if (rows->size() != 2 || (*rows)[0] < 0 || (*rows)[1] < (*rows)[0] || (*rows)[1] - (*rows)[0] != count) // C3
      return emitOpError("expects rows [begin, end] of ") << count << " rows, but got [" << *rows << "]";
  }
  return success();
}

LogicalResult EmbeddingOp::verify() {
  if (columns(getResult().getType()) != columns(getTable().getType())) // C4
    return emitOpError("expects a result of ")
           << columns(getTable().getType()) << " columns, but got " << columns(getResult().getType());
  if (!mayBeEqual(getTokens().getType().getDimSize(0), getResult().getType().getDimSize(0))) // C5
    return emitOpError("expects a result of ")
           << getTokens().getType().getDimSize(0) << " tokens, but got " << getResult().getType().getDimSize(0);
  if (!std::isfinite(getScale().convertToDouble())) // C6
    return emitOpError("expects a finite scale, but got ") << getScale().convertToDouble();
  return success();
}

LogicalResult SelectRowsOp::verify() {
  if (columns(getX().getType()) != columns(getResult().getType())) // C4
    return emitOpError("expects a result of ")
           << columns(getX().getType()) << " columns, but got " << columns(getResult().getType());
  if (!mayBeEqual(getRows().getType().getDimSize(0), getResult().getType().getDimSize(0))) // C5
    return emitOpError("expects a result of ")
           << getRows().getType().getDimSize(0) << " rows, but got " << getResult().getType().getDimSize(0);
  return success();
}
