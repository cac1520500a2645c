// cmd_ktg_search.h: the subcommands `ktg search` and `ktg worker`.
// defines: add_search_commands
#pragma once

namespace CLI {
class App;
}

namespace distill {

void add_search_commands(CLI::App& ktg);

}  // namespace distill
