// cmd_ktg.h: the subcommands `ktg train` and `ktg show`.
// defines: add_ktg_commands, ktg_defaults
#pragma once
#include "train_options.h"

namespace distill {

/// The training of docs/papers.md §2.6; a network alone takes batches of 128, a graph of 64.
Options ktg_defaults(bool alone);

void add_ktg_commands(CLI::App& app);

}  // namespace distill
