/* Compares two texts with a sentence encoder: embed MODEL.stepdown "A cat sleeps." "A dog barks." */
#include <stdio.h>
#include <stdlib.h>
#include <stepdown/Runtime.h>

int main(int argc, char **argv) {
  stepdown_model *model = NULL;
  stepdown_embedder *embedder = NULL;
  stepdown_embedder_options options = {0};
  float *vectors = NULL; /* [2, width] */
  if (argc != 4) {
    fputs("usage: embed MODEL.stepdown TEXT TEXT\n", stderr);
    return 2;
  }
  stepdown_status status = stepdown_model_load(argv[1], NULL, &model);
  options.size = sizeof options;
  options.normalize = 1; /* whatever the checkpoint says: the product of two vectors of length 1 is their cosine */
  if (status.code == 0)
    status = stepdown_embedder_create(model, &options, &embedder);
  if (status.code == 0) {
    const char *texts[] = {argv[2], argv[3]};
    size_t width = stepdown_embedder_width(embedder), i;
    double product = 0;
    vectors = malloc(2 * width * sizeof *vectors);
    if (!vectors)
      return 1;
    status = stepdown_embed(embedder, texts, 2, vectors);
    for (i = 0; status.code == 0 && i < width; ++i)
      product += (double)vectors[i] * vectors[width + i];
    if (status.code == 0)
      printf("%.4f\n", product);
  }
  if (status.code != 0)
    fprintf(stderr, "error E%04d: %s\n", (int)status.code, status.text);
  free(vectors);
  stepdown_embedder_free(embedder);
  stepdown_model_free(model);
  return status.code != 0;
}
