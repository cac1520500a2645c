// cmd_report.h: `distill report` and `distill compare`.
// defines: add_report_commands
#pragma once

namespace distill {

class Subcommand;

/// `distill report RUNS… [--csv F] [--html F] [--paper DIR]`, `distill compare A B [--csv F]`.
void add_report_commands(Subcommand app);

}  // namespace distill
