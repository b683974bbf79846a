/* Compiles a checkpoint into an artifact: compile MODEL.gguf MODEL.stepdown */
#include <stdio.h>
#include <stepdown/Compiler.h>

static void tell(void *file, const char *what, uint64_t done, uint64_t total) {
  if (total == 0 || done == total)
    fprintf(file, "%s\n", what);
}

int main(int argc, char **argv) {
  stepdown_compile_options options = {0};
  if (argc != 3) {
    fputs("usage: compile MODEL.gguf MODEL.stepdown\n", stderr);
    return 2;
  }
  options.size = sizeof options;
  options.on_progress = tell;
  options.context = stderr;
  stepdown_status status = stepdown_compile(argv[1], argv[2], &options);
  if (status.code != 0)
    fprintf(stderr, "error E%04d: %s\n", (int)status.code, status.text);
  return status.code != 0;
}
