/* The runtime's C API: load an artifact, open a session, and generate text; or submit ragged batches of tokens, step,
 * and read logits. docs/embedding.md shows both, and how an encoder embeds texts.
 *
 * Errors are values: every call that can fail returns a stepdown_status whose code is 0 on success, else a number of
 * docs/errors.md; its text is valid until the thread's next call. Nothing aborts or throws across this interface.
 * A model may be shared by many sessions and threads, and freed while sessions still use it; a session, and a sampler,
 * is used by one thread at a time.
 *
 * Structures of options and of results begin with their size, which the caller sets; all else may stay zero:
 *
 *   stepdown_session_options options = {0};
 *   options.size = sizeof options;
 *
 * Later versions add fields at the end only. A library fills what an older program does not have with zeros, and
 * refuses with 613 what a newer program sets and it does not know; a size that was not set is refused with 613 too.
 */
#ifndef STEPDOWN_RUNTIME_H
#define STEPDOWN_RUNTIME_H
#include <stddef.h>
#include <stdint.h>
#include <stepdown/Element.h>
#include <stepdown/Status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct stepdown_model stepdown_model;
typedef struct stepdown_session stepdown_session;
typedef int32_t stepdown_sequence; /* a sequence of a session; never negative */

typedef struct stepdown_load_options {
  size_t size; /* sizeof(stepdown_load_options) */
  /* "x86-64-v3", "x86-64-v3-vnni", "x86-64-v4-vnni", "x86-64-v4-bf16", "aarch64-dotprod"; NULL: the best here */
  const char *isa;
  /* 0: the file is mapped. Processes share its pages, and it has to keep its bytes while the model lives: reading where
   * it was cut short raises SIGBUS. 1: the file is read into memory of this process, verified there, and let go. */
  int32_t copy;
  int32_t reserved;   /* 0 */
  const char *device; /* what runs it, by name: NULL or "cpu"; "emulated:sm_90a" and others: E0911 lists them */
} stepdown_load_options;

typedef struct stepdown_session_options {
  size_t size;           /* sizeof(stepdown_session_options) */
  int64_t kv_positions;  /* positions the cache holds over all sequences; 0: the model's context once */
  int32_t threads;       /* 0: one per core */
  int32_t kv_block;      /* 16, 32 or 64 positions; 0: 32 */
  int32_t max_sequences; /* 0: 16 */
  int32_t reserved;      /* 0 */
} stepdown_session_options;

typedef struct stepdown_model_info {
  size_t size; /* sizeof(stepdown_model_info), set by the caller */
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
/* 613. The texts last as long as the model. */
STEPDOWN_API stepdown_status stepdown_model_describe(const stepdown_model *model, stepdown_model_info *info);

STEPDOWN_API stepdown_status stepdown_session_create(stepdown_model *model, const stepdown_session_options *options,
                                                     stepdown_session **session);
STEPDOWN_API void stepdown_session_free(stepdown_session *session);

typedef struct stepdown_session_info {
  size_t size;                                        /* sizeof(stepdown_session_info), set by the caller */
  int64_t kv_positions;                               /* that the cache holds, whole blocks */
  uint64_t kv_bytes;                                  /* allocated for keys and values of all layers */
  const char *isa;                                    /* of the code that runs */
  int32_t threads, kv_block, max_sequences, reserved; /* as chosen where the options were 0 */
} stepdown_session_info;
STEPDOWN_API stepdown_status stepdown_session_describe(const stepdown_session *session, stepdown_session_info *info);

STEPDOWN_API stepdown_status stepdown_sequence_create(stepdown_session *session, stepdown_sequence *sequence);
/* A second sequence with the same tokens; cache blocks are shared until one of them writes. */
STEPDOWN_API stepdown_status stepdown_sequence_fork(stepdown_session *session, stepdown_sequence from,
                                                    stepdown_sequence *to);
/* LoRA adapters beside the weights of a model that was compiled with --adapters: which one a sequence has is its own,
 * and sequences of one step may differ. A GGUF file whose general.type is adapter, or a folder of PEFT; `scale`
 * multiplies what it adds. 1470 to 1475: it is refused; 1477: there is no room for it; 1478: a name that is taken, or
 * not loaded, or that a sequence still has. */
STEPDOWN_API stepdown_status stepdown_session_load_adapter(stepdown_session *session, const char *name,
                                                           const char *path, double scale);
STEPDOWN_API stepdown_status stepdown_session_unload_adapter(stepdown_session *session, const char *name);
/* Slots for adapters, loaded or free; 0 of a model that has no room for any. */
STEPDOWN_API size_t stepdown_session_adapter_slots(const stepdown_session *session);
/* The name of the adapter in slot `index`, below that number, or "" of a free one; NULL for no slot. Valid until an
 * adapter is loaded or unloaded. */
STEPDOWN_API const char *stepdown_session_adapter_name(const stepdown_session *session, size_t index);
/* Gives an empty sequence the adapter `name`, or none for NULL or "". Forks have the same one. 604, 610, 611. */
STEPDOWN_API stepdown_status stepdown_sequence_set_adapter(stepdown_session *session, stepdown_sequence sequence,
                                                           const char *name);
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

/* The messages of a chat as a prompt, by the template that the checkpoint carries. */
typedef struct stepdown_message {
  const char *role, *content; /* "system", "user", "assistant"; texts that end with a zero */
} stepdown_message;
typedef struct stepdown_chat_options {
  size_t size;           /* sizeof(stepdown_chat_options) */
  const char *variables; /* a JSON object of what else the template reads: tools, enable_thinking ...; or NULL */
  int32_t no_answer;     /* 1: ends after the last message, without the beginning of an answer */
  int32_t reserved;      /* 0 */
  const char *messages;  /* a JSON array of more messages, of any form that the template reads, or NULL: contents of
                            several parts, calls of tools, none at all; 409, 410 */
} stepdown_chat_options;
/* The ids of the prompt. What `messages`, here and in the options, say never becomes a control token, whatever its
 * letters are. Writes as stepdown_model_tokenize does. 201: the checkpoint has no template; 4xx: the template refuses;
 * 612. */
STEPDOWN_API stepdown_status stepdown_model_chat_tokens(const stepdown_model *model, const stepdown_message *messages,
                                                        size_t message_count, const stepdown_chat_options *options,
                                                        int32_t *ids, size_t capacity, size_t *count);
/* The prompt as text, byte for byte what the template gives: to look at. Writes as stepdown_model_detokenize does. */
STEPDOWN_API stepdown_status stepdown_model_chat_text(const stepdown_model *model, const stepdown_message *messages,
                                                      size_t message_count, const stepdown_chat_options *options,
                                                      char *text, size_t capacity, size_t *length);

/* The text of `count` ids, as bytes without a zero; control tokens only with STEPDOWN_KEEP_SPECIAL. Writes at most
 * `capacity` bytes and the number of all to `length`; code 612 when there are more, 324 for an id outside the
 * vocabulary. */
enum { STEPDOWN_KEEP_SPECIAL = 4 };
STEPDOWN_API stepdown_status stepdown_model_detokenize(const stepdown_model *model, const int32_t *ids, size_t count,
                                                       int32_t flags, char *text, size_t capacity, size_t *length);

/* How tokens are drawn. All zero but the size (and NULL in its place) draws the most likely token each time; a field
 * that is zero has no effect. The steps act in the order of the fields, but bias, penalties and DRY come before the
 * temperature. */
typedef struct stepdown_sampling {
  size_t size;            /* sizeof(stepdown_sampling) */
  float temperature;      /* logits are divided by it; 0: the most likely token, whatever is kept */
  float top_n_sigma;      /* keeps logits within so many standard deviations of the largest */
  int32_t top_k;          /* keeps the k most likely */
  float typical_p, top_p; /* (0, 1): keeps a smallest set of that mass, by typicality and by probability */
  float min_p;            /* (0, 1]: keeps what has that share of the largest probability */
  float xtc_probability, xtc_threshold;
  float mirostat_tau;       /* target surprise in bits; takes the place of all steps that keep a part */
  float repetition_penalty; /* divides positive and multiplies negative logits of tokens seen; 1: no effect too */
  float presence_penalty, frequency_penalty;
  int32_t penalty_window;  /* tokens that the three penalties look back on; 0: all */
  float dry_multiplier;    /* punishes what would continue a repeated run */
  uint64_t seed;           /* the random numbers are a function of it and the position alone */
  const int32_t *bias_ids; /* [bias_count]; `bias` [bias_count] is added to their logits; -INFINITY forbids one */
  const float *bias;
  size_t bias_count;
  float mirostat_eta;         /* mirostat's learning rate; 0: 0.1, -1: none */
  float dry_base;             /* growth of DRY's punishment with the length of the run; 0: 1.75 */
  int32_t dry_allowed_length; /* the longest run that goes unpunished; 0: 2, -1: none */
  int32_t dry_window;         /* tokens back in which runs are looked for; 0: 1024 */
  const char *sampling_order; /* names of steps, as docs/sampling.md has them, with commas between: these alone, in this
                                 order; or NULL */
} stepdown_sampling;

/* A sampler for rows of logits of `model`; it remembers tokens for the penalties. Refuses options out of range: 701,
 * 702. */
typedef struct stepdown_sampler stepdown_sampler;
STEPDOWN_API stepdown_status stepdown_sampler_create(const stepdown_model *model, const stepdown_sampling *sampling,
                                                     stepdown_sampler **sampler);
STEPDOWN_API void stepdown_sampler_free(stepdown_sampler *sampler);
/* The token at `position` of its sequence from `logits`, float32 [vocabulary]. 703, 704. Does not accept it. */
STEPDOWN_API stepdown_status stepdown_sampler_draw(stepdown_sampler *sampler, const float *logits, uint64_t position,
                                                   int32_t *id);
/* Remembers a token: of the answer (`generated` 1), or of the prompt. */
STEPDOWN_API stepdown_status stepdown_sampler_accept(stepdown_sampler *sampler, int32_t id, int32_t generated);

/* What an answer has to be: a text of a grammar, compiled for the vocabulary of `model`; used by any number of
 * generations, sessions and threads at a time, and freed while none uses it. `text` ends with a zero: GBNF, a JSON
 * Schema (draft 2020-12), a regular expression (RE2's syntax) that matches the whole answer, or texts with commas
 * between, of which the answer is one. docs/constrained.md says what each may have. 13xx. */
typedef struct stepdown_constraint stepdown_constraint;
enum {
  STEPDOWN_CONSTRAINT_GRAMMAR = 1,
  STEPDOWN_CONSTRAINT_JSON_SCHEMA = 2,
  STEPDOWN_CONSTRAINT_REGEX = 3,
  STEPDOWN_CONSTRAINT_CHOICES = 4
};
STEPDOWN_API stepdown_status stepdown_constraint_create(const stepdown_model *model, int32_t notation, const char *text,
                                                        stepdown_constraint **constraint);
STEPDOWN_API void stepdown_constraint_free(stepdown_constraint *constraint);

/* Called on the thread that generates, for each token of the answer, with the text that it completes: UTF-8, whole code
 * points, often none; at the end, be it an error, once more, with id -1, when text had waited. `text` ends with a zero
 * that `length` does not count. Anything but 0 ends the answer. Must not throw, and must not use the session. */
typedef int32_t (*stepdown_text_callback)(void *context, int32_t id, const char *text, size_t length);

/* What guesses how an answer goes on, so that a step computes several tokens: one of edited, draft and ngram. The
 * answer is the same, byte for byte (docs/speculation.md). */
typedef struct stepdown_speculation {
  size_t size;             /* sizeof(stepdown_speculation) */
  const char *edited;      /* a text that the answer repeats with changes, ending with a zero; or NULL */
  stepdown_session *draft; /* of a smaller model with the same tokens (1501), used by nobody else meanwhile; or NULL */
  int32_t ngram;           /* what followed the last so many tokens before, 1 to 16; or 0 */
  int32_t most;            /* guesses in a step at most; 0: as many as pay */
} stepdown_speculation;

typedef struct stepdown_generate_options {
  size_t size;                       /* sizeof(stepdown_generate_options) */
  int32_t max_tokens;                /* 0: 256; -1: until the context is full, or a cache that is smaller */
  int32_t ignore_end;                /* 1: tokens that end a text are text like others */
  const stepdown_sampling *sampling; /* or NULL: the most likely token each time */
  const char *const *stops;          /* [stop_count] texts that end the answer; they are not part of it */
  size_t stop_count;
  stepdown_text_callback on_text;          /* or NULL */
  void *context;                           /* its first argument */
  const stepdown_constraint *constraint;   /* of the session's model: what the answer has to be; or NULL. 1315, 1316 */
  const stepdown_speculation *speculation; /* or NULL: a token in each step */
} stepdown_generate_options;

enum {
  STEPDOWN_FINISH_END = 1,     /* the model ended the text */
  STEPDOWN_FINISH_STOP = 2,    /* a text of `stops` came */
  STEPDOWN_FINISH_LENGTH = 3,  /* max_tokens were drawn, or there is no room for more, as -1 has it */
  STEPDOWN_FINISH_CALLBACK = 4 /* the callback asked for it */
};
typedef struct stepdown_generation {
  size_t size;                   /* sizeof(stepdown_generation), set by the caller */
  int32_t prompt_tokens, tokens; /* computed; drawn, one that ended the text included */
  int32_t finish, reserved;      /* STEPDOWN_FINISH_... */
  double prompt_seconds, decode_seconds;
  int32_t guessed, accepted; /* tokens that were computed on suspicion, and those of them that were drawn */
} stepdown_generation;

/* Continues `prompt`, a text that ends with a zero, in a sequence of its own that is freed at the end. `options` and
 * `result` may be NULL. Control tokens in `prompt` are plain text; use stepdown_model_tokenize and the function below
 * to have them read. */
STEPDOWN_API stepdown_status stepdown_generate(stepdown_session *session, const char *prompt,
                                               const stepdown_generate_options *options, stepdown_generation *result);
/* Appends `count` tokens, at least one, to a sequence and continues it. Afterwards the sequence holds them and the
 * answer but for its last token, which stepdown_sequence_length tells. Penalties and DRY look back on all of it, as if
 * it had been given at once. Refuses with 610 while other tokens of the session are queued, and before anything is
 * computed with 603, 604, 606 and 611. */
STEPDOWN_API stepdown_status stepdown_sequence_generate(stepdown_session *session, stepdown_sequence sequence,
                                                        const int32_t *ids, size_t count,
                                                        const stepdown_generate_options *options,
                                                        stepdown_generation *result);

/* Sequences outside their session: tokens, keys and values, which go on in another session of the same checkpoint,
 * process or device (docs/saved-sequences.md). Saving refuses with 604, with 610 while tokens of the sequence are
 * queued, with 903, and with 960 where the file is the model's own; loading with 1510 to 1513 what is none, damaged, or
 * of another model, with 605, 606 and 608 where there is no room, and then leaves no sequence. A file is whole or not
 * there. Of one that `stepdown-run generate` saved, the tokens that are not computed yet are left out. */
STEPDOWN_API stepdown_status stepdown_sequence_save(stepdown_session *session, stepdown_sequence sequence,
                                                    const char *path);
STEPDOWN_API stepdown_status stepdown_sequence_load(stepdown_session *session, const char *path,
                                                    stepdown_sequence *sequence);
/* The same over a pipe or socket of the caller's: `write` takes all of `size` bytes, `read` gives all of them. Anything
 * but 0 ends it with 1514. They must not throw, and must not use the session. */
typedef int32_t (*stepdown_write_callback)(void *context, const void *bytes, size_t size);
typedef int32_t (*stepdown_read_callback)(void *context, void *bytes, size_t size);
STEPDOWN_API stepdown_status stepdown_sequence_export(stepdown_session *session, stepdown_sequence sequence,
                                                      stepdown_write_callback write, void *context);
STEPDOWN_API stepdown_status stepdown_sequence_import(stepdown_session *session, stepdown_read_callback read,
                                                      void *context, stepdown_sequence *sequence);

/* Embeddings of texts by a sentence encoder: one vector a text, of all its tokens (docs/sentence-embeddings.md). Used
 * by one thread at a time; the model may be freed meanwhile. */
typedef struct stepdown_embedder stepdown_embedder;
enum { STEPDOWN_POOLING_MEAN = 1, STEPDOWN_POOLING_CLS = 2, STEPDOWN_POOLING_LAST = 3 };
typedef struct stepdown_embedder_options {
  size_t size;       /* sizeof(stepdown_embedder_options) */
  int32_t threads;   /* 0: one per core */
  int32_t pooling;   /* STEPDOWN_POOLING_...: how the rows of a text become one; 0: as the checkpoint says */
  int32_t normalize; /* 1: embeddings of length 1; -1: of whatever length; 0: as the checkpoint says */
  int32_t reserved;  /* 0 */
} stepdown_embedder_options;
/* 602: options out of range; 1425: a model that is no encoder; 1423: neither the checkpoint nor the options say how
 * rows are pooled. */
STEPDOWN_API stepdown_status stepdown_embedder_create(const stepdown_model *model,
                                                      const stepdown_embedder_options *options,
                                                      stepdown_embedder **embedder);
STEPDOWN_API void stepdown_embedder_free(stepdown_embedder *embedder);
/* Numbers of an embedding, and tokens that a text may have, with those around it. */
STEPDOWN_API size_t stepdown_embedder_width(const stepdown_embedder *embedder);
STEPDOWN_API size_t stepdown_embedder_longest(const stepdown_embedder *embedder);
/* The embeddings of `count` texts that end with a zero to `out`, float32 [count, width]. Control tokens in them are
 * plain text. As many as fit share a step; what a text's embedding is, to the bit, does not depend on the others. 1422
 * for a text that is too long, by its number, 1427 for one without tokens: nothing is computed then. */
STEPDOWN_API stepdown_status stepdown_embed(stepdown_embedder *embedder, const char *const *texts, size_t count,
                                            float *out);
/* The same of ids as stepdown_model_tokenize gives them with STEPDOWN_ADD_SPECIAL: those of text i are the next
 * lengths[i]. 1422; 1427 for a text without ids, or with one that the model does not have. */
STEPDOWN_API stepdown_status stepdown_embed_tokens(stepdown_embedder *embedder, const int32_t *ids,
                                                   const size_t *lengths, size_t count, float *out);

/* The functions of an artifact that was compiled from a plain MLIR module (stepdown_compile of a .mlir file). A module
 * is used by any number of threads at a time, and may be freed while results of its functions still live. */
typedef struct stepdown_module stepdown_module;
typedef struct stepdown_results stepdown_results;

enum { STEPDOWN_ARRAY_RANK = 8 };
/* An array, row-major without gaps. Of a signature: a size may be -1, which stands for any, and data is NULL. */
typedef struct stepdown_array {
  const void *data;
  int32_t element;                    /* enum stepdown_element */
  int32_t rank;                       /* 0 for a number */
  int64_t shape[STEPDOWN_ARRAY_RANK]; /* [rank] */
} stepdown_array;

typedef struct stepdown_function_info {
  size_t size;      /* sizeof(stepdown_function_info), set by the caller */
  const char *name; /* lasts as long as the module */
  size_t arguments, results;
} stepdown_function_info;

/* 5xx; 510 for the artifact of a model. */
STEPDOWN_API stepdown_status stepdown_module_load(const char *path, const stepdown_load_options *options,
                                                  stepdown_module **module);
STEPDOWN_API void stepdown_module_free(stepdown_module *module);
/* "x86-64-v3" and so on: the level of the code that runs. */
STEPDOWN_API const char *stepdown_module_isa(const stepdown_module *module);
STEPDOWN_API size_t stepdown_module_function_count(const stepdown_module *module);
/* Function `index` in the module's order: 613, 620. */
STEPDOWN_API stepdown_status stepdown_module_function(const stepdown_module *module, size_t index,
                                                      stepdown_function_info *info);
/* The type of value `which` of function `index`, its arguments first, then its results: 620, 621. */
STEPDOWN_API stepdown_status stepdown_module_value(const stepdown_module *module, size_t index, size_t which,
                                                   stepdown_array *type);
/* Calls `function` with `count` arrays, which are only read. 620: no such function; 621, 622: other arguments than it
 * takes; 623: a check of the program failed; 624: it needs more memory than the machine has. */
STEPDOWN_API stepdown_status stepdown_module_call(const stepdown_module *module, const char *function,
                                                  const stepdown_array *arguments, size_t count,
                                                  stepdown_results **results);
STEPDOWN_API size_t stepdown_results_count(const stepdown_results *results);
/* Result `index`, below the count; its data lives as long as `results`. */
STEPDOWN_API void stepdown_results_array(const stepdown_results *results, size_t index, stepdown_array *array);
STEPDOWN_API void stepdown_results_free(stepdown_results *results);

#ifdef __cplusplus
}
#endif
#endif
