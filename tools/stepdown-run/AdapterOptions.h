// --adapter NAME=FILE[:SCALE]: adapters that a session loads, and which of them answers have.
#pragma once
#include "lib/CommandLine/CommandLine.h"
#include "runtime/Session/Session.h"
#include <string>
#include <vector>

namespace stepdown::run {

struct NamedAdapter {
  std::string name, path;
  double scale = 1;
};

/// The entry of a table.
commandline::Option adapterOption();
/// The adapters that --adapter names; E0905 for a text of another form, or a name twice.
Result<std::vector<NamedAdapter>> adaptersOf(const commandline::Arguments &arguments);
/// Loads them. What Session::loadAdapter() refuses.
Status loadAdapters(Session &session, const std::vector<NamedAdapter> &adapters);
/// What answers have that say nothing: the one of --with-adapter, or the only one that is loaded, or none.
std::string usualAdapter(const commandline::Arguments &arguments, const std::vector<NamedAdapter> &adapters);
/// --with-adapter NAME.
commandline::Option withAdapterOption();

} // namespace stepdown::run
