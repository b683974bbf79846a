/* The compiler's C API: a checkpoint in, an artifact out. In libstepdown-compiler, which needs LLVM and MLIR 22;
 * programs that only run artifacts need Runtime.h alone.
 */
#ifndef STEPDOWN_COMPILER_H
#define STEPDOWN_COMPILER_H
#include <stddef.h>
#include <stepdown/Status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Called on a thread that compiles, one call at a time, with what is being done ("fusion", "packing weights") and how
 * much of how much of it; `total` is 0 where that is not known. Must not throw. */
typedef void (*stepdown_progress_callback)(void *context, const char *what, uint64_t done, uint64_t total);

/* All zero but the size (and NULL in its place): what stepdown-compile does without options. The size is there so that
 * later versions can add fields, as Runtime.h says; 613. */
typedef struct stepdown_compile_options {
  size_t size; /* sizeof(stepdown_compile_options) */
  /* Names with commas between: "x86-64-v3", "x86-64-v3-vnni", "x86-64-v4-vnni", "x86-64-v4-bf16", "aarch64-dotprod",
   * and "cpu" for x86-64-v3 and x86-64-v4-vnni, and of a model with weights of bfloat16 x86-64-v4-bf16 as well, but
   * with `exact`; NULL: "cpu". One file holds the code of all, and a loader takes what its processor executes best. */
  const char *targets;
  uint64_t max_context;  /* positions that a sequence may have; 0: the checkpoint's */
  int32_t exact;         /* 1: activations and cache stay float32 */
  int32_t kv_float32;    /* 1: the cache holds float32, else float16, where kv_type is NULL */
  int32_t jobs;          /* threads, at most 1024; 0: one per core */
  int32_t check_weights; /* 1: refuses weights that are NaN or infinite (222); reads all of them */
  /* Blocks that quantised weights read: "q8o2", "q8x2" or "q8"; NULL: "q8o2". With exact there are none to choose, and
   * anything but NULL is refused (832). */
  const char *activations;
  stepdown_progress_callback on_progress; /* or NULL */
  void *context;                          /* its first argument */
  const char *program; /* path of the stepdown-compile that does the work; NULL: the one installed with this library */
  int32_t in_process;  /* 1: the work is done in this process, and what ends it ends the host */
  int32_t reserved;    /* 0 */
  /* Keys and values in the cache: "f16", "f32", or, which processors read and devices do not (1515), "q8_0", 8-bit
   * blocks of 32 channels, the closer one to f16, and "fp8_e4m3", 8-bit floats; both take about half of f16's memory.
   * NULL: what kv_float32 says. With exact they are float32, and others are refused (832). */
  const char *kv_type;
  /* LoRA adapters that are merged into the weights of a checkpoint, in their order: a line each, with a path or with
   * PATH=SCALE, whose scale multiplies the adapter's own. A GGUF file whose general.type is adapter, or a folder of
   * PEFT (1470 to 1475). NULL: none. */
  const char *adapters;
  /* What the float weights of a checkpoint become: "q4_0", "q4_1", "q4_k", "q4_k_m", "q5_0", "q5_1", "q5_k", "q5_k_m",
   * "q6_k" or "q8_0" (stepdown-compile --quantize; 222 for weights that no block holds, 832 where none are floats).
   * NULL: they stay as they are. */
  const char *quantize;
} stepdown_compile_options;

/* Both functions start the program stepdown-compile and wait for it, so that nothing in a checkpoint or module, nor a
 * limit of memory that the system keeps, ends the host: 835 says that the compiler came to a fault (with what it was
 * doing, where that is known), 840 that the program ended otherwise without an outcome, 841 that it is not there or
 * belongs to another build. Nothing is left of an artifact then. The program ends when the thread that waits for it
 * does; a signal to the process group, as Ctrl-C sends, ends it too. With in_process = 1 all is done by the calling
 * thread and others that it starts; it needs 8 MiB of stack. */

/* Compiles the checkpoint `model` (.gguf, of a split one the first file), or the plain MLIR module `model` (.mlir),
 * into the artifact `output`, which is complete or not there. 1xx to 3xx: the checkpoint is refused; 8xx: it cannot be
 * compiled, or an option has no such value (832); 9xx: a file cannot be read or written. Any number of threads may
 * compile at a time. */
STEPDOWN_API stepdown_status stepdown_compile(const char *model, const char *output,
                                              const stepdown_compile_options *options);

/* Compiles `length` bytes at `text`, a plain MLIR module as text or bytecode, which messages call `name`, into the
 * artifact `output`; stepdown_module_load of Runtime.h loads it. The options of checkpoints (max_context, exact,
 * kv_float32, kv_type, check_weights, activations, adapters, quantize) mean nothing here. 833: not a module; 834: one
 * with what no function of an artifact can hold; 842 to 845: one beyond the limits that docs/programs.md names. */
STEPDOWN_API stepdown_status stepdown_compile_module(const char *text, size_t length, const char *name,
                                                     const char *output, const stepdown_compile_options *options);

#ifdef __cplusplus
}
#endif
#endif
