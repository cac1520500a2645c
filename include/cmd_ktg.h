// cmd_ktg.h: the subcommands `ktg train` and `ktg show`.
// defines: add_ktg_commands
#pragma once

namespace distill {

class Subcommand;

void add_ktg_commands(Subcommand app);

}  // namespace distill
