// cmd_compare.h: `distill compare`.
// defines: add_compare_command
#pragma once

namespace distill {

class Subcommand;

/// `distill compare RUNS RUNS… [--csv F] [--svg F] [--order [DATASET:]TEACHER:STUDENT] [--paper DIR]`.
void add_compare_command(Subcommand app);

}  // namespace distill
