/* The on-disk format of an artifact: the only thing that compiler and runtime share.
 *
 * One file, little-endian: a page-sized header with a table of sections, then the sections, each beginning on a page.
 * The runtime maps the file and checks header, bounds and checksums before it looks at anything else; code is mapped
 * executable only after that. All tables are plain records addressed by offset and count, verified before use.
 *
 * Trust. An artifact holds native code that runs in the process that loads it: it deserves the trust of a program.
 * What a loader verifies is that everything around the code is what the code was compiled for, so that a damaged or
 * altered table is refused instead of followed. It cannot verify what the instructions themselves do, and checksums
 * tell accidents, not attackers: who can write the file can write the sums.
 *
 * The step program. A step runs on a ragged batch of T tokens, of which R rows want logits. The program is three runs
 * of dispatches: the entry (once), the dispatches of each layer's kind (once a layer), and the exit (once). A dispatch
 * names a kernel and its operands; an operand is a tensor: where it lies, and its dimensions, constant or symbolic. A
 * kernel has one variant for each token-count bucket and each CODE section. Results never depend on the bucket.
 *
 * Targets. The header lists what the file was compiled for, by the names that devices know: "cpu". Each target has a
 * program of its own, or functions, and one CODE section for each of its instruction-set levels; a loader takes those
 * of the device that it is handed. Metadata, provenance and WEIGHTS belong to all: weights that two targets pack alike
 * lie there once, those that they pack differently side by side, and each target's table says where its own are.
 *
 * Adapters. A target may stand there a second time, with STEPDOWN_ADAPTED behind its name: the same model with low-rank
 * products beside its linears, for steps of which some tokens have an adapter. What it reads of adapters are weights of
 * STEPDOWN_PACKING_ADAPTERS, which lie in memory that a session fills and not in the file; all else the two share.
 *
 * Launches. Beside each entry of code stands its launch record: the grid of a dispatch as sizes of the step, and the
 * block, cluster and shared memory that the code was compiled for. A dispatch whose grid is empty is left out. Each
 * operand is its address and then all its dimensions, 8 bytes each; addresses of arena buffers, weights and caches are
 * multiples of the target's alignment, and so many readable bytes follow each (kernels may prefetch further).
 *
 * Kernel ABI of "cpu":  void kernel(const uint64_t *operands, int64_t thread, int64_t threads)
 * Every thread of the pool calls the kernel once; the kernel divides its grid of tiles among the threads; a barrier
 * follows every dispatch. Code is position independent, has no relocations, no writable data and calls nothing outside
 * its section; it is mapped to the beginning of a page of 4096 bytes, which distances between pages count on.
 *
 * What code was compiled for. A CODE section begins with an index: every entry into its instructions, and for each
 * operand of the entry its place, its dimensions, the bytes of an element and what its values must be below. The index
 * is part of the code: kernels rely on it without looking. The program's tables only refer to entries, and a loader
 * refuses every dispatch whose operands differ from the entry's, or lie where the largest step has no room for them.
 *
 * Functions. An artifact of a plain module has FUNCTIONS, CODE and PROVENANCE, and none of METADATA, PROGRAM and
 * WEIGHTS. Its code has the kernels' signature and is called with thread 0 of 1; the operands are the address of a
 * stepdown_call, then of every argument its address and dimensions, then for every result room for the same, which the
 * function fills in. Arrays are contiguous and row-major. Results lie in the call's arena, in an argument or in the
 * code; arguments are only read.
 *
 * Functions of a device that has memory of its own ("emulated:sm_90a") are code of the processor beside it, which
 * counts sizes, takes arrays from the arena and launches kernels: the section's level says what the processor must
 * have, the record and the operands lie in the processor's memory, and the arrays on the device. The section lists the
 * kernels behind the functions, by name, each in an image (stepdown/KernelImage.h).
 */
#ifndef STEPDOWN_ARTIFACT_H
#define STEPDOWN_ARTIFACT_H
#include <stdint.h>
#include <stepdown/Element.h>

#define STEPDOWN_ARTIFACT_MAGIC "STEPDOWN"
/* Raised whenever an older loader would misread a newer file, or the other way round: loaders take their own version
 * alone, and a checkpoint is compiled again. 2: sections of code have an index; code entries are numbers of entries.
 * 3: sections belong to targets; launch records; the cache's layout and the rows of logits as data.
 * 4: tensor maps of kernels say where they may be zeros (stepdown/KernelImage.h).
 * 5: programs with adapters; a weight says how its rows are grouped. */
#define STEPDOWN_ABI_VERSION 5u
#define STEPDOWN_PAGE 4096u
#define STEPDOWN_MAX_SECTIONS 64u
#define STEPDOWN_MAX_TARGETS 8u
#define STEPDOWN_ADAPTED "+adapters" /* behind the name of the target whose program it is with adapters */
#define STEPDOWN_ALL_TARGETS 0xffffu /* of a section: it belongs to no target alone */
#define STEPDOWN_MAX_BUCKETS 8u
#define STEPDOWN_MAX_RANK 5u
#define STEPDOWN_MAX_CONTEXT                                                                                           \
  (1u << 24)                       /* positions: a 32-bit one numbers them, and rotary tables have a row for every 64 */
#define STEPDOWN_MAX_ARRAY_RANK 8u /* of arguments and results of functions */

enum stepdown_section_kind {
  STEPDOWN_SECTION_METADATA =
      1, /* u64 count, then that many GGUF metadata pairs, verbatim: tokenizer, template, parameters */
  STEPDOWN_SECTION_PROGRAM = 2,    /* stepdown_program and the tables it points to */
  STEPDOWN_SECTION_CODE = 3,       /* stepdown_code, its tables, native code */
  STEPDOWN_SECTION_WEIGHTS = 4,    /* packed weights of every target */
  STEPDOWN_SECTION_PROVENANCE = 5, /* JSON text: compiler, options, checkpoint hash, explain report */
  STEPDOWN_SECTION_FUNCTIONS = 6   /* stepdown_functions and the tables it points to */
};

/* 0: of a target whose name says what executes it. */
enum stepdown_level {
  STEPDOWN_LEVEL_X86_64_V3 = 1,       /* AVX2, FMA, F16C, BMI2 */
  STEPDOWN_LEVEL_X86_64_V4_VNNI = 2,  /* AVX-512 F, BW, DQ, VL, CD, VNNI */
  STEPDOWN_LEVEL_AARCH64_DOTPROD = 3, /* NEON with dot products of bytes: FEAT_DotProd */
  STEPDOWN_LEVEL_X86_64_V3_VNNI = 4,  /* what X86_64_V3 has, and AVX-VNNI */
  STEPDOWN_LEVEL_X86_64_V4_BF16 = 5   /* what X86_64_V4_VNNI has, and AVX512-BF16 */
};

/* What code of the file is for. */
typedef struct stepdown_target {
  char name[60];      /* as devices know it; behind its end zeros, of which there is one at least */
  uint32_t alignment; /* bytes, a power of two up to STEPDOWN_PAGE: of every address that kernels get */
} stepdown_target;

typedef struct stepdown_section {
  uint16_t kind;     /* enum stepdown_section_kind */
  uint16_t target;   /* of PROGRAM, FUNCTIONS and CODE: which of the header's; else STEPDOWN_ALL_TARGETS */
  uint32_t level;    /* of CODE, enum stepdown_level; else 0 */
  uint64_t offset;   /* from the start of the file, a multiple of STEPDOWN_PAGE */
  uint64_t size;     /* bytes */
  uint64_t checksum; /* XXH3, 64 bits, of the bytes */
} stepdown_section;

typedef struct stepdown_header {
  char magic[8];        /* STEPDOWN_ARTIFACT_MAGIC */
  uint32_t abi_version; /* STEPDOWN_ABI_VERSION */
  uint16_t section_count;
  uint16_t target_count;
  uint64_t file_size;
  uint64_t checksum; /* XXH3 of the header page with this field 0 */
  stepdown_target targets[STEPDOWN_MAX_TARGETS];
  stepdown_section sections[STEPDOWN_MAX_SECTIONS];
} stepdown_header;

/* A table inside the program section: `count` records at `offset` bytes from the start of the section. */
typedef struct stepdown_table {
  uint32_t offset, count;
} stepdown_table;

typedef struct stepdown_program {
  uint32_t vocabulary;               /* ids of tokens are below it; columns of the logits */
  uint32_t width;                    /* of the residual stream */
  uint32_t max_context;              /* positions a sequence may have */
  uint32_t max_step_tokens;          /* T of the largest step; arena_bytes holds it */
  uint32_t max_step_rows;            /* R of the largest step */
  uint32_t exact;                    /* 1: float32 activations and cache */
  uint32_t logits_stride;            /* floats from one row of logits to the next: kernels write whole vectors */
  uint32_t outputs;                  /* 0; or of an encoder: columns of its rows, which stand where logits would */
  uint64_t arena_bytes;              /* the activations of the largest step */
  stepdown_table buckets;            /* stepdown_bucket, ascending */
  stepdown_table buffers;            /* stepdown_buffer */
  stepdown_table cache;              /* stepdown_cache: one */
  stepdown_table groups;             /* stepdown_cache_group */
  stepdown_table layers;             /* stepdown_layer, in order */
  stepdown_table kinds;              /* stepdown_run: the dispatches of each layer kind */
  stepdown_table weights;            /* stepdown_weight */
  stepdown_table weight_lists;       /* uint32: indices into weights; a layer's list begins at first_weight */
  stepdown_table kernels;            /* stepdown_kernel */
  stepdown_table code;               /* uint32: kernels.count * buckets.count per level, see stepdown_kernel */
  stepdown_table dispatches;         /* stepdown_dispatch */
  stepdown_table operands;           /* stepdown_operand */
  stepdown_table strings;            /* bytes: zero-terminated names */
  uint32_t entry_first, entry_count; /* dispatches before the layers */
  uint32_t exit_first, exit_count;   /* dispatches after the layers */
} stepdown_program;

/* The first bucket has min_tokens 0 or 1. Behind the last token, position, sequence and row, up to a whole tile,
 * kernels find zeros; logits have room for whole tiles of rows. Steps of min_tokens or more tokens (up to the next
 * bucket's) run this variant, `tile` tokens at a time. */
typedef struct stepdown_bucket {
  uint32_t min_tokens, tile;
} stepdown_bucket;

/* An activation buffer inside the arena, sized for the largest step. Buffers may share bytes when never live together.
 */
typedef struct stepdown_buffer {
  uint32_t name;
  uint32_t reserved;
  uint64_t offset, bytes;
} stepdown_buffer;

/* How keys and values of one layer lie: two tensors, whose dimensions these are from the outermost on. */
enum stepdown_axis {
  STEPDOWN_AXIS_BLOCKS = 1,    /* outermost: a block is one run of bytes, which sequences share and copy */
  STEPDOWN_AXIS_HEADS = 2,     /* kv_heads */
  STEPDOWN_AXIS_POSITIONS = 3, /* of a block, all of them; or */
  STEPDOWN_AXIS_GROUPS = 4,    /* of a block, `lanes` positions each, */
  STEPDOWN_AXIS_LANES = 5,     /* and the positions of a group */
  STEPDOWN_AXIS_CHANNELS = 6   /* key_dim or value_dim */
};

typedef struct stepdown_cache {
  uint32_t smallest_block, largest_block; /* positions: a session takes smallest_block, twice that ... largest_block */
  uint32_t lanes;                         /* positions of a group, of which every block has a whole number */
  uint32_t keys[STEPDOWN_MAX_RANK], values[STEPDOWN_MAX_RANK]; /* enum stepdown_axis; 0 behind the last */
} stepdown_cache;

/* Layers with one cache shape and one window share block tables; each has a pair of tensors as stepdown_cache says. */
typedef struct stepdown_cache_group {
  uint32_t layers, kv_heads, key_dim, value_dim;
  uint32_t window;  /* 0: every position; else a query sees itself and window - 1 positions before */
  uint32_t element; /* STEPDOWN_F32, STEPDOWN_F16, or STEPDOWN_CACHED_* of CacheDims.h */
} stepdown_cache_group;

typedef struct stepdown_layer {
  uint32_t kind; /* index into kinds */
  uint32_t cache_group;
  uint32_t cache_index;  /* which of the group's layers */
  uint32_t first_weight; /* into weight_lists */
  uint32_t weight_count;
} stepdown_layer;

typedef struct stepdown_run {
  uint32_t first_dispatch, dispatch_count;
} stepdown_run;

typedef struct stepdown_weight {
  uint32_t name;    /* into strings: the checkpoint's tensor name */
  uint32_t storage; /* GGUF type id of the checkpoint's tensor */
  uint32_t packing; /* enum stepdown_packing */
  uint32_t rank;
  uint64_t dims[4];       /* dims[0] contiguous, as in GGUF; with the zeros that whole tiles need */
  uint64_t offset, bytes; /* in the weights section, as packed; of adapters, in their memory */
  /* Of adapters: of every group_room rows of dims[1] of a down matrix, or columns of dims[0] of an up matrix, the first
   * `group` are the linear's; the others are zeros. Else 0. */
  uint32_t group, group_room;
} stepdown_weight;

enum stepdown_packing {
  STEPDOWN_PACKING_ROWS = 0,    /* float32, row-major: norm weights, biases, tables */
  STEPDOWN_PACKING_TILES16 = 1, /* 16 rows interleaved; lib/Target/Layout.h describes the blocks */
  STEPDOWN_PACKING_STACK16 = 2, /* so, expert behind expert: a step reads those that its tokens are routed to */
  /* Float16, row-major, slot behind slot (dims[2]): NAME.lora_a, A transposed [in, rank in whole 16], or NAME.lora_b,
   * s B transposed [rank, out]. Slot 0 is that of no adapter. */
  STEPDOWN_PACKING_ADAPTERS = 3
};

/* The variant of a kernel for a bucket is entry code[section * kernels * buckets + kernel * buckets + bucket] of a CODE
 * section, where `section` counts those of the target in file order; ~0 where the kernel has none. */
typedef struct stepdown_kernel {
  uint32_t name; /* into strings */
  uint32_t reserved;
} stepdown_kernel;

enum stepdown_extent { STEPDOWN_BY_TOKENS = 0, STEPDOWN_BY_ROWS = 1 }; /* which count selects the bucket */

typedef struct stepdown_dispatch {
  uint32_t kernel;
  uint32_t extent; /* enum stepdown_extent */
  uint32_t first_operand, operand_count;
} stepdown_dispatch;

enum stepdown_place {
  STEPDOWN_AT_BUFFER = 1,       /* index: buffers */
  STEPDOWN_AT_LAYER_WEIGHT = 2, /* index: into the layer's weight list */
  STEPDOWN_AT_WEIGHT = 3,       /* index: weights */
  STEPDOWN_AT_KEYS = 4,         /* this layer's cache */
  STEPDOWN_AT_VALUES = 5,
  STEPDOWN_AT_TOKENS = 6,      /* int32 [T] */
  STEPDOWN_AT_POSITIONS = 7,   /* int32 [T] */
  STEPDOWN_AT_SEQUENCES = 8,   /* int32 [T]: row of the block table */
  STEPDOWN_AT_BLOCK_TABLE = 9, /* int32 [sequences, table width] of this layer's cache group; -1 where no block is */
  STEPDOWN_AT_ROWS = 10,       /* int32 [R]: tokens of the step whose logits are wanted */
  STEPDOWN_AT_LOGITS = 11,     /* float32 [R, logits_stride] */
  STEPDOWN_AT_LAST = 12,       /* int32 [T], of an encoder: the last position of the token's sequence */
  STEPDOWN_AT_ADAPTERS = 13    /* int32 [T]: the slot of the token's adapter, 0 for none */
};

/* Dimensions below zero stand for these. */
enum stepdown_symbol {
  STEPDOWN_DIM_TOKENS = -1,       /* T */
  STEPDOWN_DIM_ROWS = -2,         /* R */
  STEPDOWN_DIM_TOKEN_TILES = -3,  /* ceil(T / tile) of T's bucket */
  STEPDOWN_DIM_ROW_TILES = -4,    /* ceil(R / tile) of R's bucket */
  STEPDOWN_DIM_BLOCKS = -5,       /* blocks of the cache group */
  STEPDOWN_DIM_BLOCK_GROUPS = -6, /* positions of a block / lanes of the cache */
  STEPDOWN_DIM_BLOCK_SIZE = -7,   /* positions of a block */
  STEPDOWN_DIM_SEQUENCES = -8,    /* rows of the block table */
  STEPDOWN_DIM_TABLE_WIDTH = -9,  /* entries of one row of it */
  STEPDOWN_DIM_TOKEN_TILE = -10,  /* tile of T's bucket */
  STEPDOWN_DIM_ROW_TILE = -11     /* tile of R's bucket */
};

typedef struct stepdown_operand {
  uint32_t place; /* enum stepdown_place */
  uint32_t index;
  uint32_t rank;
  uint32_t reserved;
  int64_t dims[STEPDOWN_MAX_RANK];
} stepdown_operand;

/* What stands at the start of a CODE section. Tables are addressed from the start of the section. */
typedef struct stepdown_code {
  stepdown_table entries;    /* stepdown_entry */
  stepdown_table parameters; /* stepdown_parameter, of kernels */
  stepdown_table values;     /* stepdown_value, of functions */
  stepdown_table launches;   /* stepdown_launch */
  stepdown_table strings;    /* bytes: zero-terminated names */
  uint64_t alignment;        /* bytes: of the addresses that it was compiled for, the target's */
  uint64_t instructions;     /* where they begin: a multiple of STEPDOWN_PAGE behind the tables */
} stepdown_code;

/* One way into the instructions. Several may have one offset: the same code for operands of other shapes. */
typedef struct stepdown_entry {
  uint64_t offset;  /* from the start of the section, behind `instructions`: the entry, or the image that has `name` */
  uint32_t first;   /* into parameters; of a function into values: the arguments, then the results */
  uint32_t count;   /* operands; of a function arguments */
  uint32_t results; /* of a function; a kernel has none */
  uint32_t extent;  /* of a kernel, enum stepdown_extent: what it was compiled to be dispatched by */
  uint32_t tile;    /* of a kernel: tokens of the tile that it was compiled for; 0 for a function */
  uint32_t launch;  /* into launches */
  uint32_t name;    /* into strings, of an entry that is found by name; STEPDOWN_NO_NAME: by offset */
  uint32_t reserved;
} stepdown_entry;

/* One dimension of a grid: size / divisor, rounded up. */
typedef struct stepdown_grid {
  int32_t size;     /* a constant, or TOKENS, ROWS or SEQUENCES of enum stepdown_symbol */
  uint32_t divisor; /* at least 1 */
} stepdown_grid;

/* How an entry is launched. On "cpu" the grid is one of tiles, which threads divide among each other, and of functions
 * one; block and cluster are 1 and shared_bytes is 0. */
typedef struct stepdown_launch {
  stepdown_grid grid[3]; /* work-groups in x, y and z */
  uint32_t block[3];     /* threads of a work-group, at least 1 */
  uint32_t cluster[3];   /* work-groups of a cluster, at least 1 */
  uint32_t shared_bytes; /* of memory that a work-group shares, beyond what its code declares */
} stepdown_launch;

#define STEPDOWN_NO_NAME 0xffffffffu

/* What a kernel takes for granted of one operand: a dispatch has the same place, rank and dimensions. */
typedef struct stepdown_parameter {
  uint32_t place; /* enum stepdown_place */
  uint32_t rank;
  uint32_t element_bytes; /* of what the dimensions count: a number, a vector of 16, a block */
  uint32_t reserved;
  uint64_t bound; /* TOKENS, POSITIONS: every value is below it. BLOCK_TABLE: how many positions back, the query's
                     own counted, the kernel looks. 0: any, all */
  int64_t dims[STEPDOWN_MAX_RANK]; /* constants, or enum stepdown_symbol */
} stepdown_parameter;

typedef struct stepdown_functions {
  stepdown_table functions; /* stepdown_function */
  stepdown_table values;    /* stepdown_value, the same as those of the code's entries */
  stepdown_table code;      /* uint32: entries of CODE, functions.count per section of the target, in file order */
  stepdown_table strings;   /* bytes: zero-terminated names */
} stepdown_functions;

typedef struct stepdown_function {
  uint32_t name;        /* into strings */
  uint32_t first_value; /* into values: the arguments, then the results */
  uint32_t argument_count, result_count;
} stepdown_function;

typedef struct stepdown_value {
  uint32_t element; /* enum stepdown_element */
  uint32_t rank;
  int64_t dims[STEPDOWN_MAX_ARRAY_RANK]; /* -1: any size; beyond rank 0 */
} stepdown_value;

/* What a function and its caller share during one call. */
typedef struct stepdown_call {
  uint64_t next;    /* address of the arena's first free byte, a multiple of the alignment; the function moves it */
  uint64_t end;     /* address behind the arena's last byte, a multiple of it */
  uint64_t failure; /* 0; or the address, inside the code, of the text of the check that failed; or ~0: the arena is
                       too small; or ~1: the device refused */
  uint64_t wanted;  /* bytes that did not fit; ~0: more than can be told */
  uint64_t host;    /* of a function that launches kernels: the address of its stepdown_host; else 0 */
} stepdown_call;

/* What the code of a function that launches kernels calls, on the processor's stack. 0 is success; else the function
 * ends with the failure ~1, and its caller knows what was wrong. Addresses are the device's, but for `operands`, `to`
 * of read and `from` of write. */
typedef struct stepdown_host {
  /* Kernel `kernel` of those that the code lists by name, in their order, with `words` operands; in order. Nothing
   * where a size of the grid is 0. */
  int32_t (*launch)(struct stepdown_host *host, uint64_t kernel, const uint64_t *operands, uint64_t words, uint64_t x,
                    uint64_t y, uint64_t z);
  int32_t (*read)(struct stepdown_host *host, void *to, uint64_t from, uint64_t bytes); /* done when it returns */
  int32_t (*write)(struct stepdown_host *host, uint64_t to, const void *from, uint64_t bytes); /* `from` is free then */
} stepdown_host;

#endif
