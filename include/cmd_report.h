// cmd_report.h: `distill report`.
// defines: add_report_command
#pragma once

namespace distill {

class Subcommand;

/// `distill report RUNS… [--csv F] [--html F] [--paper DIR]`.
void add_report_command(Subcommand app);

}  // namespace distill
