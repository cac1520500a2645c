// cmd_watch.h: the subcommand watch.
// defines: add_watch_command
#pragma once

namespace distill {

class Subcommand;

void add_watch_command(Subcommand app);

}  // namespace distill
