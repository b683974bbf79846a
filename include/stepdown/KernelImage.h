/* An image of GPU kernels, as it stands among the instructions of a CODE section: the code, and for each kernel what a
 * launch hands it for the operands of a dispatch.
 *
 * A dispatch's operands are words of 8 bytes: of each operand in turn its address, then its dimensions, the outermost
 * first. An operand lies row-major without gaps. A kernel's parameters are made of these words in their order, each at
 * a multiple of its size; a tensor map has 128 bytes and stands at a multiple of 64. A device encodes it at each
 * launch, for the operand's address and dimensions; bytes outside of the operand are read as zeros and not written. A
 * map wants an address and rows at multiples of 16 bytes, and no dimension of 0. Where an operand has that not, a
 * parameter that says so (or_address) is zeros, and the kernel goes by the address; others are not launched.
 *
 * An entry of the section leads to an image by `offset` and to one of its kernels by `name`. Offsets inside an image
 * count from its first byte, which stands at a multiple of 8; records are aligned to their largest field. */
#ifndef STEPDOWN_KERNEL_IMAGE_H
#define STEPDOWN_KERNEL_IMAGE_H
#include <stdint.h>
#include <stepdown/Artifact.h>

#define STEPDOWN_IMAGE_MAGIC 0x31474d49u /* "IMG1" */

typedef struct stepdown_image {
  uint32_t magic; /* STEPDOWN_IMAGE_MAGIC */
  uint32_t reserved;
  stepdown_table kernels;    /* stepdown_image_kernel */
  stepdown_table ranks;      /* uint32: of operands, at most STEPDOWN_MAX_RANK */
  stepdown_table parameters; /* stepdown_kernel_parameter */
  stepdown_table strings;    /* bytes: zero-terminated names */
  uint64_t operations;       /* of an emulated target: the table of operations of stepdown/Emulation.h; of an NVIDIA
                                chip its machine code (ELF), where the compiler had NVIDIA's assembler */
  uint64_t operation_bytes;  /* 0: none */
  uint64_t code, code_bytes; /* what runs: of NVIDIA's chips PTX, ended by a zero; of AMD's a code object */
} stepdown_image;

typedef struct stepdown_image_kernel {
  uint32_t name;                             /* into strings */
  uint32_t first_rank, operand_count;        /* into ranks */
  uint32_t first_parameter, parameter_count; /* in the order of the code's own */
} stepdown_image_kernel;

enum stepdown_holds {
  STEPDOWN_HOLDS_ADDRESS = 1, /* 8 bytes */
  STEPDOWN_HOLDS_SIZE = 2,    /* 4 bytes: dimension `dimension` */
  STEPDOWN_HOLDS_STRIDE = 3,  /* 8 bytes: elements from one index of `dimension` to the next */
  STEPDOWN_HOLDS_MAP = 4,     /* 128 bytes: a tensor map */
  STEPDOWN_HOLDS_VALUE = 5    /* the first 1, 2, 4 or 8 bytes of an operand of rank 0: a number, not an address */
};

typedef struct stepdown_kernel_parameter {
  uint32_t operand;     /* of the kernel */
  uint8_t holds;        /* enum stepdown_holds */
  uint8_t dimension;    /* of SIZE and STRIDE: 0 is the outermost; of VALUE its bytes */
  uint8_t element_type; /* of MAP: as CUtensorMapDataType, 0 to 10 */
  uint8_t swizzle;      /* of MAP: as CUtensorMapSwizzle, 0 to 3 */
  uint16_t box[5];      /* of MAP: elements of each dimension, 1 to 256, the innermost first */
  uint16_t or_address;  /* of MAP: 1 where the kernel goes by the operand's address, which it takes too, if no map
                           describes the operand; else 0 */
} stepdown_kernel_parameter;

#endif
