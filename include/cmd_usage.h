// cmd_usage.h: what is wrong with a command line, in one line.
// defines: usage_complaint
#pragma once
#include <string>

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace distill {

/// Names the subcommand, what was found, the valid names (and the nearest, where one was misspelt), and where help is.
std::string usage_complaint(const CLI::App& app, const CLI::ParseError& error);

}  // namespace distill
