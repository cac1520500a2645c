// mhgd_commands.h: `distill mhgd`.
// defines: mhgd_defaults, add_mixing_option, add_mhgd_command
#pragma once

#include "options.h"

namespace CLI {
class App;
}

namespace distill {

/// MHGD's training (PAPERS.md, section 4): 100 epochs, a tenth of the rate from 30, 60 and 80 on, Nesterov, a crop's border reflected, the
/// authors' normalisation.
Options mhgd_defaults();

void add_mixing_option(OptionTable& table, Options& options);  ///< --mixing, of all methods that mix gradients
void add_mhgd_command(CLI::App& app);

}  // namespace distill
