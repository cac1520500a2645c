// cmd_kd.h: `distill kd`: Hinton's distillation, and with --method the methods that were set beside the first papers.
// defines: is_kin_of_kd, add_kd_command
#pragma once
#include <string>

namespace CLI {
class App;
}

namespace distill {

/// Is it a --method of `kd`? The list is closed: a method has a subcommand of its own, and what `kd --method NAME` began goes on with either.
bool is_kin_of_kd(const std::string& method);
void add_kd_command(CLI::App& app);

}  // namespace distill
