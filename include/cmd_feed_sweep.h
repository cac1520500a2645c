// cmd_feed_sweep.h: `distill feed sweep`: the accuracy over the number of teachers.
// defines: run_sweep
#pragma once
#include <functional>

#include "method_feed.h"

namespace distill {

/// For each of series.numbers (empty: 1 … all), n: calls `parallel` with the options set for the first n teachers and the seeds of --runs,
/// which trains in RUN/n<n>/s<seed>/. The largest n comes first, so that no folder is made before all teachers were met. Then writes
/// RUN/sweep.csv (teachers,seed,last,best,seconds: a row for every finished run there) and prints mean ± std for each n.
/// With --resume what is there is skipped or goes on. InputError, before a teacher is trained, for a number without a teacher.
void run_sweep(OptionTable& table, Options& options, const FeedSeries& series, const std::function<void()>& parallel);

}  // namespace distill
