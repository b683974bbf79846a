// A matrix of a folder whose bytes have to be made before anything here can read them: it is quantised in a form of its
// own, or its rows are strewn. Nothing is made before rows are asked for.
//
// One rule for all forms: a weight is the product of its code and its scale. It is stored in the smallest type that
// holds it exactly (q4_0, q5_0, q8_0, mxfp4, bf16), else as float32, to which it is rounded once: that changes nothing
// where the scale has 16 bits, and may where it has 32. So no weight has fewer bits here than what it is made of.
#pragma once
#include "lib/Checkpoint/Checkpoint.h"
#include <atomic>
#include <utility>

namespace stepdown {

class WeightPart {
public:
  WeightPart(uint64_t rows, uint64_t columns) : rows(rows), columns(columns) {}
  virtual ~WeightPart() = default;
  /// The smallest type that holds every weight exactly; f32 holds what any part has.
  virtual Storage smallest() const = 0;
  /// Rows [first, first + count) as `storage`, which is smallest() or what widest() says of several.
  virtual void read(Storage storage, uint64_t first, uint64_t count, uint8_t *out) const = 0;

  /// Says that the part is made of [begin, begin + bytes) of a mapped file. Once as many rows were read as it has,
  /// their pages are given back: forms whose codes lie by columns need all of them for any row, so that it is not done
  /// before.
  void liesIn(const uint8_t *begin, uint64_t bytes) { places.emplace_back(begin, bytes); }
  /// `count` rows were read. From any thread.
  void wereRead(uint64_t count) const;

  const uint64_t rows, columns;

private:
  std::vector<std::pair<const uint8_t *, uint64_t>> places;
  mutable std::atomic<uint64_t> rowsRead = 0;
};

/// A type that holds what each of the two does.
Storage widest(Storage a, Storage b);

/// Parts of one shape, one below the other: a linear, or the experts of a layer.
class PartSource : public BlockSource {
public:
  explicit PartSource(std::vector<std::unique_ptr<WeightPart>> parts);
  void read(uint64_t first, uint64_t count, uint8_t *out) const override;

  /// All rows as one tensor called `name`, of rank 3 for `experts`.
  StoredTensor tensor(std::string_view name, bool experts) const;

private:
  std::vector<std::unique_ptr<WeightPart>> parts;
  Storage storage;
};

/// Which rows of a matrix a part has: `run` in a row, and the next that far (`step` rows) behind the first of them.
struct RowRuns {
  uint64_t run = 1, step = 1;
  uint64_t at(uint64_t row) const { return row / run * step + row % run; }
};

/// Floats that a file holds: row r lies at data + runs.at(r) * columns values.
std::unique_ptr<WeightPart> plainPart(Storage storage, const uint8_t *data, uint64_t rows, uint64_t columns,
                                      RowRuns runs = {});
/// Floats that a file holds by columns: element (r, c) is value c * rows + r.
std::unique_ptr<WeightPart> transposedPart(Storage storage, const uint8_t *data, uint64_t rows, uint64_t columns);

} // namespace stepdown
