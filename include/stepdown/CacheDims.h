/* The dimensions of keys or values from the axes that an artifact lists: for the compiler, which gives kernels tensors
 * of that shape, and for the runtime, which allocates them. */
#ifndef STEPDOWN_CACHE_DIMS_H
#define STEPDOWN_CACHE_DIMS_H
#include <stepdown/Artifact.h>

/* Blocks of 32 channels as elements of a cache group, the last of a head maybe shorter: 8-bit codes of all channels of
 * a head, then two bytes of each block, its scale as binary16 with the low byte first. A channel is code * scale;
 * key_dim and value_dim count these bytes. */
#define STEPDOWN_CACHED_Q8_0 0x108u

/* OCP 8-bit floats of 4 bits of exponent and 3 of mantissa as elements of a cache group. */
#define STEPDOWN_CACHED_E4M3 0x109u

/* Whether a cache group may have such elements. */
static inline int stepdown_cached_is_known(uint32_t element) {
  return element == STEPDOWN_F32 || element == STEPDOWN_F16 || element == STEPDOWN_CACHED_Q8_0 ||
         element == STEPDOWN_CACHED_E4M3;
}

/* Bytes of an element of a cache group. */
static inline uint64_t stepdown_cached_bytes(uint32_t element) {
  return element == STEPDOWN_F32 ? 4 : element == STEPDOWN_F16 ? 2 : 1;
}

/* Channels of a head that has `size` elements of a cache group; 0 where no head has so many. */
static inline uint32_t stepdown_cached_channels(uint32_t element, uint32_t size) {
  if (element != STEPDOWN_CACHED_Q8_0)
    return size;
  return size % 34 == 1 || size % 34 == 2 ? 0 : size - (size / 34 + (size % 34 != 0)) * 2;
}

/* What an element of a cache group is called. */
static inline const char *stepdown_cached_name(uint32_t element) {
  return element == STEPDOWN_F32           ? "f32"
         : element == STEPDOWN_F16         ? "f16"
         : element == STEPDOWN_CACHED_E4M3 ? "fp8_e4m3"
                                           : "q8_0";
}

/* Writes the dimension of every axis of `axes` [STEPDOWN_MAX_RANK] to `dims` [STEPDOWN_MAX_RANK], outermost first:
 * constants, or enum stepdown_symbol. `heads` and `channels` are those of keys or of values, `lanes` those of the
 * cache. Returns how many: those before the first that is none. */
static inline uint32_t stepdown_cache_dims(const uint32_t *axes, int64_t lanes, int64_t heads, int64_t channels,
                                           int64_t *dims) {
  uint32_t rank = 0;
  for (; rank < STEPDOWN_MAX_RANK; ++rank)
    switch (axes[rank]) {
    case STEPDOWN_AXIS_BLOCKS:
      dims[rank] = STEPDOWN_DIM_BLOCKS;
      break;
    case STEPDOWN_AXIS_HEADS:
      dims[rank] = heads;
      break;
    case STEPDOWN_AXIS_POSITIONS:
      dims[rank] = STEPDOWN_DIM_BLOCK_SIZE;
      break;
    case STEPDOWN_AXIS_GROUPS:
      dims[rank] = STEPDOWN_DIM_BLOCK_GROUPS;
      break;
    case STEPDOWN_AXIS_LANES:
      dims[rank] = lanes;
      break;
    case STEPDOWN_AXIS_CHANNELS:
      dims[rank] = channels;
      break;
    default:
      return rank;
    }
  return rank;
}

#endif
