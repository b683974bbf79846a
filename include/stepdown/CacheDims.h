/* The dimensions of keys or values from the axes that an artifact lists: for the compiler, which gives kernels tensors
 * of that shape, and for the runtime, which allocates them. */
#ifndef STEPDOWN_CACHE_DIMS_H
#define STEPDOWN_CACHE_DIMS_H
#include <stepdown/Artifact.h>

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
