// worker.h: `distill ktg worker`: the process that trains for a WorkerCrew (workers.h has the protocol).
// defines: run_worker
#pragma once

namespace distill {

/// Trains what it is told on standard input, `slots` runs at a time, until it is told to end. If its parent is gone it ends at once.
void run_worker(int slots);

}  // namespace distill
