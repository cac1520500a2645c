// cmd_feed.h: `distill feed parallel`, `sequential`, `sweep` and `reconstruct`.
// defines: add_feed_commands
#pragma once

namespace distill {

class Subcommand;

void add_feed_commands(Subcommand app);

}  // namespace distill
