// The part of include/stepdown/Runtime.h that calls functions of plain modules.
#include "lib/Base/SizedOptions.h"
#include "runtime/ApiHandles.h"
#include "runtime/Devices.h"
#include "runtime/Functions/FunctionLibrary.h"
#include <algorithm>

using namespace stepdown;
using namespace stepdown::api;

struct stepdown_module {
  std::shared_ptr<const FunctionLibrary> library;
};
struct stepdown_results {
  std::unique_ptr<CallResults> values;
};

static_assert(int(STEPDOWN_ARRAY_RANK) == int(STEPDOWN_MAX_ARRAY_RANK));

static stepdown_array arrayFor(const Array &array) {
  stepdown_array out = {};
  out.data = array.data;
  out.element = static_cast<int32_t>(array.element);
  out.rank = static_cast<int32_t>(array.dims.size());
  std::copy(array.dims.begin(), array.dims.end(), out.shape);
  return out;
}

/// Function `index`; E0620.
static Result<const FunctionSignature *> functionAt(const stepdown_module *module, size_t index) {
  const auto &functions = module->library->functions();
  if (index >= functions.size())
    return fail(ErrorCode::FunctionUnknown, "index: expects a function below %zu, but got %zu", functions.size(),
                index);
  return &functions[index];
}

stepdown_status stepdown_module_load(const char *path, const stepdown_load_options *options, stepdown_module **module) {
  *module = nullptr;
  return guarded([&]() -> Status {
    auto chosen = takeOptions(options, "stepdown_load_options");
    if (!chosen)
      return chosen.error();
    auto device = openDevice(chosen->device);
    if (!device)
      return device.error();
    auto loaded =
        FunctionLibrary::load(path, std::move(*device), chosen->isa, chosen->copy ? FileUse::copied : FileUse::mapped);
    if (!loaded)
      return loaded.error();
    *module = new stepdown_module{std::move(*loaded)};
    return Done{};
  });
}

void stepdown_module_free(stepdown_module *module) { delete module; }

const char *stepdown_module_isa(const stepdown_module *module) { return module->library->level(); }

size_t stepdown_module_function_count(const stepdown_module *module) { return module->library->functions().size(); }

stepdown_status stepdown_module_function(const stepdown_module *module, size_t index, stepdown_function_info *info) {
  return guarded([&]() -> Status {
    auto function = functionAt(module, index);
    if (!function)
      return function.error();
    stepdown_function_info value = {};
    value.name = (*function)->name;
    value.arguments = (*function)->arguments.size();
    value.results = (*function)->results.size();
    return giveResult(info, value, "stepdown_function_info");
  });
}

stepdown_status stepdown_module_value(const stepdown_module *module, size_t index, size_t which, stepdown_array *type) {
  return guarded([&]() -> Status {
    auto function = functionAt(module, index);
    if (!function)
      return function.error();
    const FunctionSignature &f = **function;
    const size_t arguments = f.arguments.size(), all = arguments + f.results.size();
    if (which >= all)
      return fail(ErrorCode::ArgumentCount, "%s: expects an argument or result below %zu, but got %zu", f.name, all,
                  which);
    *type = arrayFor(which < arguments ? f.arguments[which] : f.results[which - arguments]);
    return Done{};
  });
}

stepdown_status stepdown_module_call(const stepdown_module *module, const char *function,
                                     const stepdown_array *arguments, size_t count, stepdown_results **results) {
  *results = nullptr;
  return guarded([&]() -> Status {
    Result<size_t> index = module->library->find(function);
    if (!index)
      return index.error();
    std::vector<Array> arrays;
    for (size_t i = 0; i < count; ++i) {
      const stepdown_array &given = arguments[i];
      if (given.rank < 0 || given.rank > STEPDOWN_ARRAY_RANK)
        return fail(ErrorCode::ArgumentMismatch, "%s: argument %zu: expects a rank from 0 to %d, but got %d", function,
                    i, int(STEPDOWN_ARRAY_RANK), given.rank);
      arrays.push_back({static_cast<uint32_t>(given.element),
                        std::vector<int64_t>(given.shape, given.shape + given.rank), given.data});
    }
    auto called = module->library->call(*index, arrays);
    if (!called)
      return called.error();
    *results = new stepdown_results{std::move(*called)};
    return Done{};
  });
}

size_t stepdown_results_count(const stepdown_results *results) { return results->values->arrays().size(); }

void stepdown_results_array(const stepdown_results *results, size_t index, stepdown_array *array) {
  *array = arrayFor(results->values->arrays()[index]);
}

void stepdown_results_free(stepdown_results *results) { delete results; }
