// ktg_worker.h: `distill ktg worker`: the process that trains for a WorkerProcesses (ktg_workers.h has the protocol).
// defines: run_worker, interrupted_exit
#pragma once

namespace distill {

/// Its exit code after a signal, when all that was under way has a checkpoint.
constexpr int interrupted_exit = 3;

/// Trains what it is told on standard input, `slots` runs at a time, until it is told to end. If its parent is gone it ends at once.
/// A run whose loss or weights are not finite any more has failed. Any other error (a GPU's, which would meet all runs after it) ends
/// the process.
void run_worker(int slots);

}  // namespace distill
