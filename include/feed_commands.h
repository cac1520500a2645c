// feed_commands.h: `distill feed parallel` and `sequential`.
// defines: feed_defaults, add_feed_commands
#pragma once

#include "options.h"

namespace CLI {
class App;
}

namespace distill {

/// FEED's training (PAPERS.md, section 3): 200 epochs, a tenth of the rate from 100 and 150 on, plain momentum.
Options feed_defaults();

void add_feed_commands(CLI::App& app);

}  // namespace distill
