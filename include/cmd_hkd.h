// cmd_hkd.h: `distill hkd`, a training, and `distill hkd show`, the graphs of one.
// defines: add_hkd_command
#pragma once

namespace CLI {
class App;
}

namespace distill {

void add_hkd_command(CLI::App& app);

}  // namespace distill
