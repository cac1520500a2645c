// ktg_worker_plan.h: the processes of a search: how many, on which GPUs, how many trials in each.
// defines: parse_devices, shared_out, plan_workers
#pragma once
#include <string>
#include <vector>

#include "ktg_workers.h"

namespace distill {

/// "0,1" as numbers; InputError for anything else.
std::vector<int> parse_devices(const std::string& devices);

/// `jobs` over at most `processes`, as evenly as can be: 3 over 2 are 2 and 1. None gets no job.
std::vector<int> shared_out(int jobs, int processes);

/// On the CPU (`device`, resolved) a process for each job; else one for each GPU of `devices` ("auto": all), its jobs side by side in it.
/// InputError for a GPU that is not there.
WorkerPlan plan_workers(const std::string& device, const std::string& devices, int jobs);

}  // namespace distill
