// cmd_feed_preset.h: FEED's training, and --preset for the rows of data/paper/feed.csv.
// defines: feed_defaults, is_feed_preset, apply_feed_preset
#pragma once
#include <string>

#include "train_options.h"

namespace distill {

/// docs/papers.md §3.7: 200 epochs, a tenth of the rate from 100 and 150 on, plain momentum.
Options feed_defaults();

/// Does the id name a row of FEED's table?
bool is_feed_preset(const std::string& id);

/// What the row options.preset says, unless it was given by hand: data, networks, method and FEED's schedule, the baselines' too.
/// Several teachers are trained first (--train-teachers) unless they are named. InputError if the row belongs to another subcommand.
void apply_feed_preset(const std::string& subcommand, OptionTable& table, Options& options);

}  // namespace distill
