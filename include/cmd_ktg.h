// cmd_ktg.h: the subcommands `ktg train` and `ktg show`.
// defines: add_ktg_commands
#pragma once

namespace CLI {
class App;
}

namespace distill {

void add_ktg_commands(CLI::App& app);

}  // namespace distill
