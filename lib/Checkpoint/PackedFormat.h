// How weights lie in an artifact: 16 neighbouring rows interleaved, so that a vector lane owns a row.
//
// A packed block holds the same columns of 16 rows (one block of the storage format, or 32 columns of a float format):
//
//     d        16 binary16 (mxfp4: float32)      scale of the block, as the file has it
//     m        16 binary16                       minimum (Plain) or its scale (Grouped)
//     scales   [groups][16] int8                 where the format has integer scales
//     minimums [groups][16] uint8                where it has grouped minimums
//     codes    per 32 columns: bit planes        the unsigned codes
//     values   [32][16]                          float formats: nothing but this
//
// Codes of 32 columns are 8 quads of 4 columns. A quad of 16 rows is one 64-byte vector, byte 4 * row + column: what a
// four-way 8-bit dot product reads. A plane of b bits packs the quads into b such vectors: vector v carries quads
// v, v + b, v + 2b, ..., the j-th of them in bits j * b .. j * b + b - 1 of each byte. 8-bit codes are one plane of 8
// bits, 6 = 4 + 2, 5 = 4 + 1, 4 = 4, 3 = 2 + 1, 2 = 2; the first plane holds the low bits. Rows past the last are
// zeros.
#pragma once
#include "lib/Checkpoint/BlockFormat.h"
#include <algorithm>
#include <vector>

namespace stepdown {

constexpr int kPackedRows = 16;

struct PackedFormat {
  const BlockFormat *format;
  int columns;                                                     ///< per block: 32 or 256
  int scaleBytes;                                                  ///< of one d: 2 or 4
  int dOffset, mOffset, scalesOffset, minimumsOffset, codesOffset; ///< -1 where absent
  int codeBytes;                                                   ///< of 32 columns
  int planes;                                                      ///< 1 or 2
  int planeBits[2];
  int bytes; ///< of the packed block
};

/// Zeros that a weight has in an artifact and its tensor has not: behind every `group` rows (elements of a vector) up
/// to `groupRoom`, and behind the columns of a row up to `columns` (0: none; else a float format's, a multiple of 32).
struct WeightPadding {
  size_t group = 1, groupRoom = 1, columns = 0;
  bool none() const { return group == groupRoom && columns == 0; }
  size_t rows(size_t stored) const { return stored / group * groupRoom; }
  /// How many of the tensor's rows lie before row `row`.
  size_t storedBefore(size_t row) const { return row / groupRoom * group + std::min(row % groupRoom, group); }
  bool isStored(size_t row) const { return row % groupRoom < group; }
};

/// The packed form of `format`.
PackedFormat packedFormat(const BlockFormat &format);

/// Bytes of a [rows, columns] weight when packed; columns must be a multiple of packedFormat().columns.
size_t packedBytes(const BlockFormat &format, size_t rows, size_t columns);

/// Packs 16-row tiles [firstTile, lastTile) of a [rows, columns] weight stored row-major at `source` into `out`, which
/// is where tile firstTile begins. Tiles are those of the weight as it is padded.
void packTiles(const BlockFormat &format, const uint8_t *source, size_t rows, size_t columns, size_t firstTile,
               size_t lastTile, uint8_t *out, const WeightPadding &padding = {});

} // namespace stepdown
