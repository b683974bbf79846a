#include "tools/stepdown-run/AdapterOptions.h"

#include <algorithm>
#include <cmath>

namespace stepdown::run {

using commandline::Arguments;
using commandline::Option;

Option adapterOption() {
  return Option("adapter", 0, "NAME=FILE[:SCALE]",
                "load a LoRA adapter beside the weights, a GGUF file or a folder of PEFT, times SCALE; of a model that "
                "was compiled with --adapters")
      .repeats();
}

Option withAdapterOption() {
  return Option("with-adapter", 0, "NAME", "the adapter of answers that name none")
      .otherwiseIt("the one of --adapter, where there is one");
}

Result<std::vector<NamedAdapter>> adaptersOf(const Arguments &arguments) {
  std::vector<NamedAdapter> all;
  for (const std::string &text : arguments.all("adapter")) {
    const size_t equals = text.find('=');
    NamedAdapter adapter{text.substr(0, equals), equals == text.npos ? "" : text.substr(equals + 1), 1};
    if (const size_t colon = adapter.path.rfind(':'); colon != adapter.path.npos)
      if (const std::optional<double> scale = commandline::parseReal(adapter.path.substr(colon + 1))) {
        adapter.scale = *scale;
        adapter.path.resize(colon);
      }
    if (adapter.name.empty() || adapter.path.empty() || !std::isfinite(adapter.scale))
      return arguments.usage("expects NAME=FILE or NAME=FILE:SCALE for --adapter, but got \"" + text + "\"");
    if (std::any_of(all.begin(), all.end(), [&](const NamedAdapter &other) { return other.name == adapter.name; }))
      return arguments.usage("expects adapters of different names, but two are called \"" + adapter.name + "\"");
    all.push_back(std::move(adapter));
  }
  return all;
}

Status loadAdapters(Session &session, const std::vector<NamedAdapter> &adapters) {
  for (const NamedAdapter &adapter : adapters)
    if (Result<int32_t> loaded = session.loadAdapter(adapter.name, adapter.path, adapter.scale); !loaded)
      return loaded.error();
  return Done{};
}

std::string usualAdapter(const Arguments &arguments, const std::vector<NamedAdapter> &adapters) {
  return arguments.text("with-adapter").value_or(adapters.size() == 1 ? adapters[0].name : "");
}

} // namespace stepdown::run
