// cmd_report.h: `distill report` and `distill compare`.
// defines: add_report_commands
#pragma once

namespace CLI {
class App;
}

namespace distill {

/// `distill report RUNS… [--csv F] [--html F] [--paper DIR]`, `distill compare A B [--csv F]`.
void add_report_commands(CLI::App& app);

}  // namespace distill
