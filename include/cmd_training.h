// cmd_training.h: the subcommands train, eval, kd, reviewkd and info.
// defines: add_training_commands
#pragma once

namespace distill {

class Subcommand;

void add_training_commands(Subcommand app);

}  // namespace distill
