// cmd_feed.h: `distill feed parallel`, `sequential` and `sweep`.
// defines: add_feed_commands
#pragma once

namespace CLI {
class App;
}

namespace distill {

void add_feed_commands(CLI::App& app);

}  // namespace distill
