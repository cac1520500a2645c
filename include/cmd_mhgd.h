// cmd_mhgd.h: `distill mhgd`.
// defines: add_mhgd_command
#pragma once

namespace CLI {
class App;
}

namespace distill {

void add_mhgd_command(CLI::App& app);

}  // namespace distill
