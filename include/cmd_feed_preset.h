// cmd_feed_preset.h: --preset for the rows of data/paper/feed.csv.
// defines: is_feed_preset, apply_feed_preset
#pragma once
#include <string>

#include "train_options.h"

namespace distill {

/// Does the id name a row of FEED's table?
bool is_feed_preset(const std::string& id);

/// What the row options.preset says, unless it was given by hand: data, networks, method and FEED's schedule, the baselines' too.
/// Several teachers are trained first (--train-teachers) unless they are named. InputError if the row belongs to another subcommand.
void apply_feed_preset(const std::string& subcommand, OptionTable& table, Options& options);

}  // namespace distill
