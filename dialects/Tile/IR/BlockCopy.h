// How packed blocks of weights go into shared memory: as words, in pieces of a block, since a copy's box has at most
// 256 elements along a dimension and rows of whole 16 bytes.
#pragma once
#include <cstdint>

namespace stepdown::tile {

inline constexpr int64_t kWordBytes = 8;

/// Pieces that a block of so many bytes is copied in, a multiple of 16: as few as can be.
inline int64_t piecesOf(int64_t bytes) {
  int64_t pieces = 1;
  while (bytes % (16 * pieces) != 0 || bytes / pieces > 256 * kWordBytes)
    ++pieces;
  return pieces;
}

} // namespace stepdown::tile
