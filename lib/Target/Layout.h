// How weights lie in an artifact: rows of neighbours interleaved, so that a vector lane owns a row. This is the one
// description: the packer writes by it, the reader of packed blocks in passes/Vector loads by it, the block type and
// the memory plan take their bytes from it.
//
// A packed block holds the same columns of `rows` rows (one block of the storage format, or 32 columns of a float
// format). Its fields in order, for the 16 rows of tiles16:
//
//     d        16 binary16 (wide types: float32) scale of the block, as the file has it; nvfp4: of the tensor
//     m        16 binary16                       minimum (Plain) or its scale (Grouped)
//     scales   [groups][16] int8                 where groups have scales (nvfp4: BlockFormat's scaleOf)
//     minimums [groups][16] uint8                where it has grouped minimums
//     codes    per 32 columns: bit planes        the unsigned codes
//     values   [32][16]                          float formats: nothing but this
//
// Codes of 32 columns are 8 quads of 4 columns. A quad of all rows is one vector of 4 * rows bytes, byte 4 * row +
// column: what a four-way 8-bit dot product reads. A plane of b bits packs the quads into b such vectors: vector v
// carries quads v, v + b, v + 2b, ..., the j-th of them in bits j * b .. j * b + b - 1 of each byte. 8-bit codes are
// one plane of 8 bits, 6 = 4 + 2, 5 = 4 + 1, 4 = 4, 3 = 2 + 1, 2 = 2, 1 = 1; the first plane holds the low bits. Rows
// past the last are zeros.
#pragma once
#include "include/stepdown/Artifact.h"
#include "lib/Checkpoint/BlockFormat.h"
#include <algorithm>
#include <string>

namespace stepdown {

/// How a target's kernels find weights and rows of activations in memory.
struct Layout {
  const char *name;
  stepdown_packing packing;  ///< as an artifact records it
  int rows;                  ///< of a weight in one packed block; also the floats of a vector: a lane owns a row
  int alignment;             ///< bytes: of every weight and buffer, and how far kernels may read past the last
  stepdown_cache cache = {}; ///< how keys and values lie, as an artifact records it
};

/// 16 rows: a register of AVX-512, two of AVX2. Keys of 16 positions lie side by side, so that a vector lane owns a
/// position while scores are computed; values lie by position, since their sums have a lane for each channel.
inline constexpr Layout kTiles16 = {
    "tiles16",
    STEPDOWN_PACKING_TILES16,
    16,
    64,
    {16,
     64,
     16,
     {STEPDOWN_AXIS_BLOCKS, STEPDOWN_AXIS_HEADS, STEPDOWN_AXIS_GROUPS, STEPDOWN_AXIS_CHANNELS, STEPDOWN_AXIS_LANES},
     {STEPDOWN_AXIS_BLOCKS, STEPDOWN_AXIS_HEADS, STEPDOWN_AXIS_POSITIONS, STEPDOWN_AXIS_CHANNELS}}};

/// The layout of which a packed block holds so many rows, or null.
const Layout *layoutOfRows(int rows);
/// The rows of every layout, for messages: "8 or 16".
std::string layoutRows();

/// Columns whose codes lie together, and columns of a quad.
constexpr int kCodeColumns = 32, kQuadColumns = 4, kQuads = kCodeColumns / kQuadColumns;

/// Where the values of one kind lie in a packed block: for each row a number of them, each row's i-th beside those of
/// the other rows.
struct PackedField {
  int offset = -1; ///< bytes from the beginning of the block to row 0's first; -1: the block has none
  int bytes = 0;   ///< of one value, and from a row's to the next row's
  int stride = 0;  ///< bytes from a row's value to its next
  bool exists() const { return offset >= 0; }
  int at(int row, int i = 0) const { return offset + i * stride + row * bytes; }
};

/// Some bits of every code of 32 columns.
struct PackedPlane {
  int offset = 0;        ///< bytes from where the codes of the 32 columns begin
  int bits = 0, low = 0; ///< it holds bits [low, low + bits) of a code
  int vectorBytes = 0;   ///< a quad of every row

  int vectors() const { return kQuads * bits / 8; }
  /// The vector that holds a quad, in bytes from where the codes begin, and from which bit of each byte on.
  int vectorOf(int quad) const { return offset + quad % vectors() * vectorBytes; }
  int shiftOf(int quad) const { return quad / vectors() * bits; }
  /// Where in a vector the code of a row and a column of the quad lies, in bytes.
  static int byteOf(int row, int column) { return row * kQuadColumns + column; }
};

/// What a packed block of one storage format holds, and where.
struct PackedBlock {
  const BlockFormat *format;
  int rows;
  int columns;                                ///< 32 to 256
  PackedField d, m, scales, minimums, values; ///< scales and minimums: one a group; values: one a column
  int codesOffset = -1;                       ///< bytes to the codes of the first 32 columns; -1: float
  int codeBytes = 0;                          ///< of 32 columns
  int planes = 0;                             ///< 1 or 2
  PackedPlane plane[2];
  int bytes = 0; ///< of all of it
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
PackedBlock packedBlock(const Layout &layout, const BlockFormat &format);

/// Tiles of a weight of so many rows: the last may be short.
inline size_t tilesOf(const Layout &layout, size_t rows) { return (rows + layout.rows - 1) / layout.rows; }

/// Bytes of a [rows, columns] weight when packed; columns must be a multiple of packedBlock().columns.
size_t packedBytes(const Layout &layout, const BlockFormat &format, size_t rows, size_t columns);

/// Packs tiles [firstTile, lastTile) of a [rows, columns] weight stored row-major at `source` into `out`, which is
/// where tile firstTile begins. Tiles are those of the weight as it is padded.
void packTiles(const Layout &layout, const BlockFormat &format, const uint8_t *source, size_t rows, size_t columns,
               size_t firstTile, size_t lastTile, uint8_t *out, const WeightPadding &padding = {});
/// The same where `source` begins with stored row `skipped`, since the tiles have none before it. `scales`: of each
/// stored row, what multiplies the d of a wide format, or null.
void packTilesFrom(const Layout &layout, const BlockFormat &format, const uint8_t *source, size_t skipped, size_t rows,
                   size_t columns, size_t firstTile, size_t lastTile, uint8_t *out, const WeightPadding &padding,
                   const float *scales = nullptr);

} // namespace stepdown
