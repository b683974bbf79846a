/* The runtime's C API: load an artifact, open a session, submit a ragged batch of tokens, step, read logits.
 *
 * Errors are values: every call that can fail returns a stepdown_status whose code is 0 on success, else a number of
 * docs/errors.md; its text is valid until the thread's next call. Nothing aborts or throws across this interface.
 * A model may be shared by many sessions and threads; a session is used by one thread at a time.
 */
#ifndef STEPDOWN_RUNTIME_H
#define STEPDOWN_RUNTIME_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define STEPDOWN_API __attribute__((visibility("default")))
#else
#define STEPDOWN_API
#endif

typedef struct stepdown_model stepdown_model;
typedef struct stepdown_session stepdown_session;
typedef struct stepdown_status {
  int32_t code;
  const char *text;
} stepdown_status;
typedef int32_t stepdown_sequence; /* a sequence of a session; never negative */

typedef struct stepdown_load_options {
  const char *isa; /* "x86-64-v3", "x86-64-v4-vnni"; NULL: the best this processor has */
} stepdown_load_options;

typedef struct stepdown_session_options {
  int32_t threads;       /* 0: one per core */
  int32_t kv_block;      /* 16, 32 or 64 positions; 0: 32 */
  int64_t kv_positions;  /* positions the cache holds over all sequences; 0: the model's context once */
  int32_t max_sequences; /* 0: 16 */
} stepdown_session_options;

typedef struct stepdown_model_info {
  const char *architecture, *name;
  int32_t vocabulary, width, layers, max_context, max_step_tokens, exact;
  uint64_t weight_bytes, arena_bytes, kv_bytes_per_position;
} stepdown_model_info;

/* One token of a batch: `want_logits` keeps its row. Tokens of a sequence are appended in the order given. */
typedef struct stepdown_token {
  stepdown_sequence sequence;
  int32_t id;
  int32_t want_logits;
} stepdown_token;

STEPDOWN_API stepdown_status stepdown_model_load(const char *path, const stepdown_load_options *options,
                                                 stepdown_model **model);
STEPDOWN_API void stepdown_model_free(stepdown_model *model);
STEPDOWN_API void stepdown_model_describe(const stepdown_model *model, stepdown_model_info *info);

STEPDOWN_API stepdown_status stepdown_session_create(stepdown_model *model, const stepdown_session_options *options,
                                                     stepdown_session **session);
STEPDOWN_API void stepdown_session_free(stepdown_session *session);

typedef struct stepdown_session_info {
  int32_t threads, kv_block, max_sequences; /* as chosen where the options were 0 */
  int64_t kv_positions;                     /* that the cache holds, whole blocks */
  uint64_t kv_bytes;                        /* allocated for keys and values of all layers */
  const char *isa;                          /* of the code that runs */
} stepdown_session_info;
STEPDOWN_API void stepdown_session_describe(const stepdown_session *session, stepdown_session_info *info);

STEPDOWN_API stepdown_status stepdown_sequence_create(stepdown_session *session, stepdown_sequence *sequence);
/* A second sequence with the same tokens; cache blocks are shared until one of them writes. */
STEPDOWN_API stepdown_status stepdown_sequence_fork(stepdown_session *session, stepdown_sequence from,
                                                    stepdown_sequence *to);
/* Forgets the positions from `length` on. Refuses where an attention window before `length` was given back. */
STEPDOWN_API stepdown_status stepdown_sequence_truncate(stepdown_session *session, stepdown_sequence sequence,
                                                        int32_t length);
/* Tokens submitted so far; -1 for a sequence that does not exist. */
STEPDOWN_API int32_t stepdown_sequence_length(const stepdown_session *session, stepdown_sequence sequence);
STEPDOWN_API void stepdown_sequence_free(stepdown_session *session, stepdown_sequence sequence);

/* Queues tokens for the next step. Refuses, and queues nothing, when an id is out of range, a sequence would pass the
 * context, the batch would pass max_step_tokens, or the cache is out of blocks. */
STEPDOWN_API stepdown_status stepdown_session_submit(stepdown_session *session, const stepdown_token *tokens,
                                                     size_t count);
STEPDOWN_API stepdown_status stepdown_session_step(stepdown_session *session);
/* Row `index` (in order of submission, of those that wanted logits) of the last step: float32 [vocabulary], valid until
 * the next step. */
STEPDOWN_API const float *stepdown_session_logits(const stepdown_session *session, size_t index);
STEPDOWN_API size_t stepdown_session_logits_count(const stepdown_session *session);

/* The model's tokenizer; made on first use, then shared by all threads. `flags`: STEPDOWN_ADD_SPECIAL puts the tokens
 * around the text that the file asks for (BOS), STEPDOWN_PARSE_SPECIAL reads "<|...|>" as control tokens: never for
 * what a user wrote. Writes at most `capacity` ids and the number of all of them to `count`; code 612 when there are
 * more than `capacity`. */
enum { STEPDOWN_ADD_SPECIAL = 1, STEPDOWN_PARSE_SPECIAL = 2 };
STEPDOWN_API stepdown_status stepdown_model_tokenize(const stepdown_model *model, const char *text, size_t length,
                                                     int32_t flags, int32_t *ids, size_t capacity, size_t *count);
/* The bytes that one token stands for, which may be part of a code point: writes at most `capacity` of them and the
 * number of all to `length`, without a zero. Control tokens have none. */
STEPDOWN_API stepdown_status stepdown_model_token_text(const stepdown_model *model, int32_t id, char *text,
                                                       size_t capacity, size_t *length);
/* 1 where the text ends with this token; else, and for ids that do not exist, 0. */
STEPDOWN_API int32_t stepdown_model_ends_text(const stepdown_model *model, int32_t id);

#ifdef __cplusplus
}
#endif
#endif
