// bench_svd.h: `distill bench svd`: singular vectors of a batch's maps beside LAPACK's full SVD of the same maps.
// defines: add_bench_svd
#pragma once

namespace distill {

class Subcommand;

/// Adds `svd` to `distill bench`.
void add_bench_svd(Subcommand bench);

}  // namespace distill
