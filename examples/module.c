/* Compiles a plain MLIR module from memory, and calls its function: module SUM.stepdown */
#include <stdio.h>
#include <stepdown/Compiler.h>
#include <stepdown/Runtime.h>
#include <string.h>

static const char text[] = "func.func @sum(%a: tensor<?xf32>, %b: tensor<?xf32>) -> tensor<?xf32> {\n"
                           "  %0 = arith.addf %a, %b : tensor<?xf32>\n"
                           "  return %0 : tensor<?xf32>\n"
                           "}\n";

int main(int argc, char **argv) {
  const float values[3] = {1.0f, 2.5f, -4.0f};
  stepdown_array arguments[2] = {{values, STEPDOWN_F32, 1, {3}}, {values, STEPDOWN_F32, 1, {3}}};
  stepdown_module *module = NULL;
  stepdown_results *results = NULL;
  stepdown_status status;
  if (argc != 2) {
    fputs("usage: module SUM.stepdown\n", stderr);
    return 2;
  }
  status = stepdown_compile_module(text, strlen(text), "sum.mlir", argv[1], NULL);
  if (status.code == 0)
    status = stepdown_module_load(argv[1], NULL, &module);
  if (status.code == 0)
    status = stepdown_module_call(module, "sum", arguments, 2, &results);
  if (status.code != 0) {
    fprintf(stderr, "error E%04d: %s\n", (int)status.code, status.text);
  } else {
    stepdown_array sum;
    stepdown_results_array(results, 0, &sum);
    for (int64_t i = 0; i < sum.shape[0]; ++i)
      printf("%g\n", ((const float *)sum.data)[i]);
  }
  stepdown_results_free(results);
  stepdown_module_free(module);
  return status.code != 0;
}
