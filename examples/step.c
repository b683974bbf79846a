/* What stepdown_generate does, by hand: submit tokens, step, read logits.
 * step MODEL.stepdown "The capital of France is" [TOKENS] */
#include <stdio.h>
#include <stdlib.h>
#include <stepdown/Runtime.h>
#include <string.h>

static void check(stepdown_status status) {
  if (status.code == 0)
    return;
  fprintf(stderr, "error E%04d: %s\n", (int)status.code, status.text);
  exit(1);
}

int main(int argc, char **argv) {
  stepdown_model *model;
  stepdown_session *session;
  stepdown_sequence sequence;
  stepdown_model_info info = {0};
  int32_t ids[1024], best = -1;
  size_t count, length, i;
  int left = argc > 3 ? atoi(argv[3]) : 16;
  char text[256];
  if (argc < 3) {
    fputs("usage: step MODEL.stepdown TEXT [TOKENS]\n", stderr);
    return 2;
  }
  check(stepdown_model_load(argv[1], NULL, &model));
  info.size = sizeof info;
  check(stepdown_model_describe(model, &info));
  check(stepdown_session_create(model, NULL, &session));
  check(stepdown_sequence_create(session, &sequence));
  check(stepdown_model_tokenize(model, argv[2], strlen(argv[2]), STEPDOWN_ADD_SPECIAL, ids, 1024, &count));
  for (i = 0; i < count; ++i) {
    stepdown_token token = {sequence, ids[i], i + 1 == count};
    check(stepdown_session_submit(session, &token, 1));
  }
  while (left-- > 0) {
    const float *logits;
    check(stepdown_session_step(session));
    logits = stepdown_session_logits(session, 0);
    for (best = 0, i = 1; i < (size_t)info.vocabulary; ++i)
      best = logits[i] > logits[best] ? (int32_t)i : best;
    if (stepdown_model_ends_text(model, best))
      break;
    check(stepdown_model_token_text(model, best, text, sizeof text, &length));
    fwrite(text, 1, length, stdout);
    {
      stepdown_token token = {sequence, best, 1};
      check(stepdown_session_submit(session, &token, 1));
    }
  }
  puts("");
  stepdown_session_free(session);
  stepdown_model_free(model);
  return 0;
}
