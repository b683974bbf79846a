// How keys and values of a cache lie in memory, where its element is a block and not a number.
//
// Of element !transformer.block<q8_0> each head of a position has blocks of 32 channels (the last may be shorter): a
// code of 8 bits for every channel, then two bytes for every block, its scale as binary16 with the low byte first.
// Channel c of block b is code * scale. So a head of n channels is n + 2 ceil(n / 32) elements of i8, which are spread
// over a cache's axes as channels are.
#pragma once
#include "dialects/Transformer/IR/TransformerDialect.h"

namespace stepdown::transformer {

inline constexpr int64_t kCachedBlock = 32; ///< channels that share a scale

inline bool hasBlocks(CacheType cache) { return mlir::isa<BlockType>(cache.getElement()); }
/// Whether devices and plain modules read it: numbers of 16 bits or more.
inline bool isWide(CacheType cache) { return !hasBlocks(cache) && cache.getElement().getIntOrFloatBitWidth() >= 16; }

/// What tensors of the keys or values hold.
inline mlir::Type cachedElement(CacheType cache) {
  return hasBlocks(cache) ? mlir::IntegerType::get(cache.getContext(), 8) : cache.getElement();
}
/// How many of them are one head of `channels` at one position.
inline int64_t cachedSize(CacheType cache, int64_t channels) {
  return hasBlocks(cache) ? channels + (channels + kCachedBlock - 1) / kCachedBlock * 2 : channels;
}
/// The channels of a head of `size` elements, of blocks where these are i8.
inline int64_t cachedChannels(mlir::Type element, int64_t size) {
  const int64_t whole = kCachedBlock + 2;
  return element.isInteger(8) ? size - (size + whole - 1) / whole * 2 : size;
}
/// Bytes of keys and values at one position.
inline int64_t cachedBytes(CacheType cache) {
  const int64_t elements = cachedSize(cache, cache.getKey()) + cachedSize(cache, cache.getValue());
  return cache.getHeads() * elements * (cachedElement(cache).getIntOrFloatBitWidth() / 8);
}

} // namespace stepdown::transformer
