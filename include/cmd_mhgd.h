// cmd_mhgd.h: `distill mhgd`.
// defines: add_mixing_option, add_mhgd_command
#pragma once

#include "train_options.h"

namespace CLI {
class App;
}

namespace distill {

void add_mixing_option(OptionTable& table, Options& options);  ///< --mixing, of all methods that mix gradients
void add_mhgd_command(CLI::App& app);

}  // namespace distill
