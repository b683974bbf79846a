/* The C API as a C99 program uses it: greedy text of a model, token by token; and the prompt of a chat. */
#include "include/stepdown/Runtime.h"

int greedy_c99(const char *path, const int32_t *prompt, int prompt_count, int32_t *out, int out_count);
int chat_c99(const char *path, const char *said, int32_t *ids, size_t capacity, size_t *count);

int constrained_c99(const char *path, int notation, const char *what, char *answer, size_t capacity, int *finish);

/* What a callback has heard. */
struct heard_text {
  char *text;
  size_t length, capacity;
};

static int32_t hear(void *context, int32_t id, const char *text, size_t length) {
  struct heard_text *heard = (struct heard_text *)context;
  size_t i;
  (void)id;
  for (i = 0; i < length && heard->length + 1 < heard->capacity; ++i)
    heard->text[heard->length++] = text[i];
  heard->text[heard->length] = 0;
  return 0;
}

int constrained_c99(const char *path, int notation, const char *what, char *answer, size_t capacity, int *finish) {
  stepdown_model *model = NULL;
  stepdown_session *session = NULL;
  stepdown_constraint *constraint = NULL;
  stepdown_generate_options options = {0};
  stepdown_generation result = {0};
  struct heard_text heard;
  stepdown_status status = stepdown_model_load(path, NULL, &model);
  heard.text = answer;
  heard.length = 0;
  heard.capacity = capacity;
  answer[0] = 0;
  options.size = sizeof options;
  options.max_tokens = 40;
  options.on_text = hear;
  options.context = &heard;
  result.size = sizeof result;
  if (status.code == 0)
    status = stepdown_session_create(model, NULL, &session);
  if (status.code == 0)
    status = stepdown_constraint_create(model, notation, what, &constraint);
  options.constraint = constraint;
  if (status.code == 0)
    status = stepdown_generate(session, "hello", &options, &result);
  *finish = result.finish;
  stepdown_constraint_free(constraint);
  stepdown_session_free(session);
  stepdown_model_free(model);
  return status.code;
}

int chat_c99(const char *path, const char *said, int32_t *ids, size_t capacity, size_t *count) {
  stepdown_model *model = NULL;
  stepdown_message messages[2] = {{"system", "be"}, {"user", NULL}};
  stepdown_status status = stepdown_model_load(path, NULL, &model);
  messages[1].content = said;
  if (status.code == 0)
    status = stepdown_model_chat_tokens(model, messages, 2, NULL, ids, capacity, count);
  stepdown_model_free(model);
  return status.code;
}

int greedy_c99(const char *path, const int32_t *prompt, int prompt_count, int32_t *out, int out_count) {
  stepdown_model *model = NULL;
  stepdown_session *session = NULL;
  stepdown_session_options options = {0};
  stepdown_sequence sequence;
  stepdown_model_info info = {0};
  stepdown_status status = stepdown_model_load(path, NULL, &model);
  int i, v, made = 0;
  options.size = sizeof options;
  options.threads = 1;
  info.size = sizeof info;
  if (status.code == 0)
    status = stepdown_session_create(model, &options, &session);
  if (status.code == 0)
    status = stepdown_sequence_create(session, &sequence);
  if (status.code == 0)
    status = stepdown_model_describe(model, &info);
  if (status.code == 0) {
    for (i = 0; i < prompt_count && status.code == 0; ++i) {
      stepdown_token token = {0, 0, 0};
      token.sequence = sequence;
      token.id = prompt[i];
      token.want_logits = i + 1 == prompt_count;
      status = stepdown_session_submit(session, &token, 1);
    }
    while (made < out_count && status.code == 0) {
      const float *logits;
      stepdown_token token = {0, 0, 1};
      int32_t best = 0;
      status = stepdown_session_step(session);
      logits = stepdown_session_logits(session, 0);
      if (status.code != 0 || logits == NULL)
        break;
      for (v = 1; v < info.vocabulary; ++v)
        if (logits[v] > logits[best])
          best = v;
      out[made++] = best;
      token.sequence = sequence;
      token.id = best;
      status = stepdown_session_submit(session, &token, 1);
    }
  }
  stepdown_session_free(session);
  stepdown_model_free(model);
  return status.code ? -status.code : made;
}
