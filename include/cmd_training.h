// cmd_training.h: the subcommands train, eval, kd, reviewkd and info.
// defines: add_training_commands
#pragma once

namespace CLI {
class App;
}

namespace distill {

void add_training_commands(CLI::App& app);

}  // namespace distill
