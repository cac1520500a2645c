// cmd_paper.h: `distill paper rows`: the rows of data/paper as command lines.
// defines: add_paper_commands
#pragma once
#include <string>

namespace distill {

class Subcommand;

/// After the subcommands that the rows name. `program`: as the lines call it.
void add_paper_commands(Subcommand app, const std::string& program);

}  // namespace distill
