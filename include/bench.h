// bench.h: `distill bench`: one training step, timed, beside what the machine could do.
// defines: add_bench_command
#pragma once

namespace distill {

class Subcommand;

void add_bench_command(Subcommand app);

}  // namespace distill
