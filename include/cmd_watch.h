// cmd_watch.h: the subcommand watch.
// defines: add_watch_command
#pragma once

namespace CLI {
class App;
}

namespace distill {

void add_watch_command(CLI::App& app);

}  // namespace distill
