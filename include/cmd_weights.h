// cmd_weights.h: the subcommands `weights show|convert`.
// defines: add_weights_commands
#pragma once

namespace CLI {
class App;
}

namespace distill {

/// Registers `weights` and its subcommands under `app`; each one's callback does its work while `app` parses and throws what that throws.
void add_weights_commands(CLI::App& app);

}  // namespace distill
