// cmd_training.h: the subcommands that train, one for each method of the table (method_table.h), and eval and info.
// defines: add_training_commands
#pragma once

namespace distill {

class Subcommand;

void add_training_commands(Subcommand app);

}  // namespace distill
