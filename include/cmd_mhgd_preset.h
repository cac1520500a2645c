// cmd_mhgd_preset.h: --preset for the rows of data/paper/mhgd.csv.
// defines: is_mhgd_preset, apply_mhgd_preset
#pragma once
#include <string>

#include "train_options.h"

namespace distill {

/// Does the id name a row of MHGD's tables?
bool is_mhgd_preset(const std::string& id);

/// What the row options.preset says, unless it was given by hand: data, networks, method, heads and MHGD's training, also of the methods
/// beside it. Imported data, Tiny-ImageNet's, keep a normalisation of their own. InputError if the row belongs to another subcommand.
void apply_mhgd_preset(const std::string& subcommand, OptionTable& table, Options& options);

}  // namespace distill
