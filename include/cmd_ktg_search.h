// cmd_ktg_search.h: the subcommands `ktg search` and `ktg worker`.
// defines: add_search_commands
#pragma once

namespace distill {

class Subcommand;

/// To `ktg`, which add_ktg_commands() has added.
void add_search_commands(Subcommand app);

}  // namespace distill
