// bench.h: `distill bench`: one training step, timed, beside what the machine could do.
// defines: add_bench_command
#pragma once

namespace CLI {
class App;
}

namespace distill {

void add_bench_command(CLI::App& app);

}  // namespace distill
