/* Continues a text with a model: generate MODEL.stepdown "The capital of France is" [TOKENS] */
#include <stdio.h>
#include <stdlib.h>
#include <stepdown/Runtime.h>

static int32_t print(void *file, int32_t id, const char *text, size_t length) {
  (void)id; /* the token that brought the text */
  return fwrite(text, 1, length, file) != length;
}

int main(int argc, char **argv) {
  stepdown_model *model = NULL;
  stepdown_session *session = NULL;
  stepdown_generate_options options = {0};
  if (argc < 3) {
    fputs("usage: generate MODEL.stepdown TEXT [TOKENS]\n", stderr);
    return 2;
  }
  options.size = sizeof options;
  options.max_tokens = argc > 3 ? atoi(argv[3]) : 32;
  options.on_text = print;
  options.context = stdout;
  stepdown_status status = stepdown_model_load(argv[1], NULL, &model);
  if (status.code == 0)
    status = stepdown_session_create(model, NULL, &session);
  if (status.code == 0)
    status = stepdown_generate(session, argv[2], &options, NULL);
  puts("");
  if (status.code != 0)
    fprintf(stderr, "error E%04d: %s\n", (int)status.code, status.text);
  stepdown_session_free(session);
  stepdown_model_free(model);
  return status.code != 0;
}
