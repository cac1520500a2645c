// cmd_mhgd.h: `distill mhgd`.
// defines: add_mhgd_command
#pragma once

namespace distill {

class Subcommand;

void add_mhgd_command(Subcommand app);

}  // namespace distill
