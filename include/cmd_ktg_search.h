// cmd_ktg_search.h: the subcommands `ktg search` and `ktg worker`.
// defines: add_search_commands
#pragma once

namespace CLI {
class App;
}

namespace distill {

/// To `ktg`, which add_ktg_commands() has added.
void add_search_commands(CLI::App& app);

}  // namespace distill
