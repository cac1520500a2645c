// cmd_compare.h: `distill compare`.
// defines: add_compare_command
#pragma once

namespace distill {

class Subcommand;

/// `distill compare RUNS RUNS… [--csv F] [--order TEACHER:STUDENT] [--paper DIR]`.
void add_compare_command(Subcommand app);

}  // namespace distill
