// bench_costs.h: `distill bench costs`: what methods' steps cost beside the plain step and the teacher's forward pass that they add to.
// defines: add_bench_costs
#pragma once

namespace distill {

class Subcommand;

/// Registers the subcommand under `bench`.
void add_bench_costs(Subcommand bench);

}  // namespace distill
