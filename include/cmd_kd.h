// cmd_kd.h: `distill kd`: Hinton's distillation, and with --method the methods that were set beside the first papers.
// defines: add_kd_command
#pragma once

namespace distill {

class Subcommand;

void add_kd_command(Subcommand app);

}  // namespace distill
