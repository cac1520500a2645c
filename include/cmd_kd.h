// cmd_kd.h: `distill kd`: Hinton's distillation, and with --method the methods that were set beside the first papers.
// defines: add_kd_command
#pragma once

namespace CLI {
class App;
}

namespace distill {

void add_kd_command(CLI::App& app);

}  // namespace distill
