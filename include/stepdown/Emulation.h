/* What code of an emulated GPU kernel and runtime/emulated share: the table of entries that the code calls, the table
 * of operations that it calls them for, and the record that stands for a tensor map.
 *
 * An emulated kernel is `void kernel(const stepdown_emulation *entries, const void *parameters)`, run once for each
 * lane on a stack of its own. It has no relocations and calls nothing but the entries. Shared memory lies below 4 GiB
 * at a multiple of 256 KiB for each block, so that 32-bit shared addresses and the 18 bits of matrix descriptors mean
 * on the host what they mean on the chip.
 *
 * A table of operations is a header, the kernels, the operations, then their names, each ended by a zero byte. Integers
 * are little-endian, offsets of names count from the first of them. */
#ifndef STEPDOWN_EMULATION_H
#define STEPDOWN_EMULATION_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What an operation does; a row each in Emulation.def. */
typedef enum stepdown_emulated {
#define STEPDOWN_EMULATED(NAME, ...) STEPDOWN_EMULATED_##NAME,
#include "Emulation.def"
#undef STEPDOWN_EMULATED
  STEPDOWN_EMULATED_COUNT
} stepdown_emulated;

/** Kinds of reports; see docs/emulator.md. */
typedef enum stepdown_report {
#define STEPDOWN_REPORT(NAME, TEXT) STEPDOWN_REPORT_##NAME,
#include "Emulation.def"
#undef STEPDOWN_REPORT
  STEPDOWN_REPORT_COUNT
} stepdown_report;

/** What emulated code calls; the first argument is always the table itself. */
typedef struct stepdown_emulation {
  /** Performs `operation`. `frame` holds 8-byte slots: results first, then arguments, each scalar at the beginning of a
   * slot of its own, a vector in as many slots as it needs. A register that a matrix product may still write is 64
   * bits: the value below, what stands for it above. */
  void (*call)(const struct stepdown_emulation *entries, uint32_t operation, uint64_t *frame);
  /** Before a load or store of `bytes` at `address`; does not return where that is not allowed. */
  void (*access)(const struct stepdown_emulation *entries, uint32_t operation, const void *address);
  /** The value of a register that a matrix product may have written. */
  uint32_t (*resolve)(const struct stepdown_emulation *entries, uint32_t operation, uint64_t value);
  /** Once for each turn of a loop. */
  void (*turn)(const struct stepdown_emulation *entries, uint32_t operation);
} stepdown_emulation;

#define STEPDOWN_EMULATION_MAGIC 0x33554d45u /* "EMU3" */

typedef struct stepdown_emulated_header {
  uint32_t magic, kernels, operations, name_bytes;
} stepdown_emulated_header;

typedef struct stepdown_emulated_kernel {
  uint32_t name;
  uint32_t entry;           /**< offset into the code */
  uint32_t parameter_bytes; /**< at least */
  uint32_t max_threads;     /**< of a block; 0: not stated */
  uint32_t cluster[3];      /**< 0: not stated */
  uint32_t static_shared;   /**< bytes in front of dynamic shared memory */
  uint32_t warp_lanes;      /**< 32, or 64: a wave of CDNA */
  uint32_t shared_limit;    /**< bytes that a block may have on the chip */
  uint32_t amd;             /**< 1: by AMD's rules, see docs/emulator.md; 0: by NVIDIA's */
} stepdown_emulated_kernel;

typedef struct stepdown_emulated_operation {
  uint32_t name;        /**< the intrinsic, or the PTX instruction with its modifiers */
  uint32_t kernel;      /**< index */
  uint32_t file, line;  /**< of the source; line 0: not known */
  uint16_t kind;        /**< stepdown_emulated */
  uint16_t results;     /**< slots */
  uint16_t arguments;   /**< slots */
  uint16_t bytes;       /**< that a load or store touches */
  int32_t modifiers[8]; /**< as the row of Emulation.def says */
} stepdown_emulated_operation;

/** Stands for a CUtensorMap in the emulator, at the same place among the parameters. */
typedef struct stepdown_tensor_map {
  uint64_t address;    /**< a multiple of 16 */
  uint64_t sizes[5];   /**< elements, innermost first */
  uint32_t strides[4]; /**< bytes / 16, of dimensions 1 and up */
  uint16_t box[5];     /**< elements, 1 to 256 */
  uint8_t rank;        /**< 1 to 5 */
  uint8_t element_bytes;
  uint8_t swizzle;      /**< 0 none, 1 32 bytes, 2 64 bytes, 3 128 bytes, as CUtensorMapSwizzle */
  uint8_t fill_nan;     /**< what lies out of bounds: zero, or NaN where not 0 */
  uint8_t element_type; /**< as CUtensorMapDataType */
  uint8_t step[5];      /**< element strides, 1 to 8 */
  uint32_t check;       /**< STEPDOWN_EMULATION_MAGIC: an encoded map */
  uint8_t reserved[40];
} stepdown_tensor_map;

#ifdef __cplusplus
}
static_assert(sizeof(stepdown_tensor_map) == 128, "a tensor map has 128 bytes");
#endif
#endif
