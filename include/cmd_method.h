// cmd_method.h: the subcommands that follow from the table of methods, one a row.
// defines: add_networks, settle_networks, set_untold, add_method_command
#pragma once
#include <string>

#include "method_table.h"

namespace distill {

class Subcommand;

/// What a training by such a method is told beside the method's own options: its networks, data, schedule and what it keeps.
void add_networks(OptionTable& table, Options& options, Teaching teachers);
/// InputError unless the student is named, and its teachers where there are several; these may be trained first.
void settle_networks(const OptionTable& table, Options& options, Teaching teachers);

/// What was not given by hand: a row of data/paper (--preset), and --recipe, where that was.
void set_untold(const std::string& subcommand, OptionTable& table, Options& options, const std::string& method);

/// The subcommand of a method without one of its own kind.
void add_method_command(Subcommand app, const MethodRow& row);

}  // namespace distill
