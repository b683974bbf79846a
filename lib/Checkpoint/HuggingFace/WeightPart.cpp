#include "lib/Checkpoint/HuggingFace/WeightPart.h"
#include "lib/Base/MappedFile.h"

#include <algorithm>
#include <cstring>

namespace stepdown {
namespace {

uint64_t bytesOfRow(Storage storage, uint64_t columns) {
  const BlockFormat &format = *blockFormat(storage);
  return columns / format.elements * format.bytes;
}

class PlainPart : public WeightPart {
public:
  PlainPart(Storage storage, const uint8_t *data, uint64_t rows, uint64_t columns, RowRuns runs)
      : WeightPart(rows, columns), storage(storage), data(data), runs(runs) {}
  Storage smallest() const override { return storage; }

  void read(Storage as, uint64_t first, uint64_t count, uint8_t *out) const override {
    const uint64_t rowBytes = bytesOfRow(storage, columns);
    for (uint64_t r = first; r < first + count; ++r, out += bytesOfRow(as, columns)) {
      const uint8_t *row = data + runs.at(r) * rowBytes;
      if (as == storage)
        std::memcpy(out, row, rowBytes);
      else // floats beside others; the caller's memory need not be aligned for them
        for (uint64_t c = 0; c < columns; ++c) {
          float value;
          decode(*blockFormat(storage), row + c * blockFormat(storage)->bytes, 1, &value);
          std::memcpy(out + c * sizeof value, &value, sizeof value);
        }
    }
  }

private:
  const Storage storage;
  const uint8_t *const data;
  const RowRuns runs;
};

class TransposedPart : public WeightPart {
public:
  TransposedPart(Storage storage, const uint8_t *data, uint64_t rows, uint64_t columns)
      : WeightPart(rows, columns), storage(storage), data(data) {}
  Storage smallest() const override { return storage; }

  /// A column of all rows that are asked for after the other, as they lie.
  void read(Storage, uint64_t first, uint64_t count, uint8_t *out) const override {
    const uint64_t size = blockFormat(storage)->bytes;
    for (uint64_t c = 0; c < columns; ++c)
      for (uint64_t r = 0; r < count; ++r)
        std::memcpy(out + (r * columns + c) * size, data + (c * rows + first + r) * size, size);
  }

private:
  const Storage storage;
  const uint8_t *const data;
};

} // namespace

void WeightPart::wereRead(uint64_t count) const {
  const uint64_t before = rowsRead.fetch_add(count);
  if (before / rows != (before + count) / rows)
    for (const auto &[begin, bytes] : places)
      leavePages(begin, bytes);
}

Storage widest(Storage a, Storage b) {
  if (a == b)
    return a;
  // Each holds what stands before it: codes of more bits with the same scale.
  for (const Storage integer : {Storage::Q8_0, Storage::Q5_0, Storage::Q4_0})
    if (const auto isInteger = [](Storage s) { return s == Storage::Q4_0 || s == Storage::Q5_0 || s == Storage::Q8_0; };
        isInteger(a) && isInteger(b) && (a == integer || b == integer))
      return integer;
  return Storage::F32;
}

PartSource::PartSource(std::vector<std::unique_ptr<WeightPart>> given) : parts(std::move(given)) {
  storage = parts.front()->smallest();
  for (const auto &part : parts)
    storage = widest(storage, part->smallest());
}

void PartSource::read(uint64_t first, uint64_t count, uint8_t *out) const {
  const uint64_t each = parts.front()->rows, rowBytes = bytesOfRow(storage, parts.front()->columns);
  while (count) {
    const uint64_t begin = first % each, some = std::min(count, each - begin);
    parts[first / each]->read(storage, begin, some, out);
    parts[first / each]->wereRead(some);
    first += some, count -= some, out += some * rowBytes;
  }
}

StoredTensor PartSource::tensor(std::string_view name, bool experts) const {
  const WeightPart &part = *parts.front();
  StoredTensor tensor{name, storage, experts ? 3 : 2, {part.columns, part.rows, parts.size(), 1}, 0, 0, nullptr, false};
  tensor.bytes = parts.size() * part.rows * bytesOfRow(storage, part.columns);
  tensor.source = this;
  return tensor;
}

std::unique_ptr<WeightPart> plainPart(Storage storage, const uint8_t *data, uint64_t rows, uint64_t columns,
                                      RowRuns runs) {
  return std::make_unique<PlainPart>(storage, data, rows, columns, runs);
}

std::unique_ptr<WeightPart> transposedPart(Storage storage, const uint8_t *data, uint64_t rows, uint64_t columns) {
  return std::make_unique<TransposedPart>(storage, data, rows, columns);
}

} // namespace stepdown
