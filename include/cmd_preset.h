// cmd_preset.h: --preset: a row of data/paper as a training's options.
// defines: kin_of_kd, is_kin_of_kd, has_preset, preset_row, apply_preset
#pragma once
#include <string>
#include <vector>

#include "paper.h"
#include "train_options.h"

namespace distill {

/// What a --method of `kd` may be. The list is closed: a method has a subcommand of its own, and what `kd --method NAME` began goes on
/// with either.
const std::vector<std::string>& kin_of_kd();
bool is_kin_of_kd(const std::string& method);

/// Is there a --preset? InputError for a --paper without one.
bool has_preset(const Options& options);

/// The row that --preset names, of --paper's folder. InputError naming the nearest ids if there is none.
PaperRow preset_row(const Options& options);

/// What the row says, unless it was given by hand: its id, data set, networks, and its options, the recipe first. Files of
/// other rows ({ID}) are left to the command line. InputError unless the row belongs to this subcommand; a row of `kd`'s kin belongs to
/// `kd`, too. Where `table` has an option `recipe`, the caller has refused one that was given by hand.
void apply_preset(const PaperRow& row, const std::string& subcommand, OptionTable& table, Options& options);

}  // namespace distill
