// cmd_hkd.h: `distill hkd`, a training, and `distill hkd show`, the graphs of one.
// defines: add_hkd_command
#pragma once

namespace distill {

class Subcommand;

void add_hkd_command(Subcommand app);

}  // namespace distill
