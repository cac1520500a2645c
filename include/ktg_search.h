// ktg_search.h: the search for the best graph, start to end: pre-trained networks, trials, the best trained again beside known methods.
// defines: authors_trials, SearchOptions, search_space_of, take_search_options, default_search_run, run_ktg_search, run_ktg_transfer
#pragma once
#include <string>

#include "method_ktg.h"
#include "search_space.h"
#include "train_options.h"
#include "train_run_folder.h"

namespace distill {

constexpr int64_t authors_trials = 1500;

/// What `ktg search` can be told beside how to train.
struct SearchOptions {
    Options training;
    KtgOptions losses;  ///< of the graphs: temperature and frozen BatchNorm
    int nodes = 3;
    std::string target = "resnet32a", models = "resnet32a,resnet110a,wrn-28-2";
    std::string sampler = "random", score = "validation", devices = "auto", transfer;
    bool stopping = true;
    int64_t trials = 0;  ///< 0: authors_trials, or all graphs of the grid
    int jobs = 1, best = 1, retrain_seeds = 3;
    int64_t alone_batch = 128;
};

/// InputError for an unknown network, or none at all.
SearchSpace search_space_of(const SearchOptions& options);

/// take_options_of for a search, or a transfer, that goes on. Of --trials there may be more than it was started with: whether there are.
/// InputError for fewer.
bool take_search_options(const RunFolder& folder, SearchOptions& options, OptionTable& table);

/// Where a search, or a transfer, keeps its files unless --run says.
std::string default_search_run(const SearchOptions& options);

/// `ktg search`. In the folder of training.run:
///
///     config.csv, journal.csv      the resolved options; what happened to each trial (search_journal.h)
///     pretrained/NET/              networks trained alone on the search's training part, for frozen nodes
///     trials/N/                    trial N's run folder: its tables; weights only of the best
///     probe/N/                     while it is asked whether a trial or the machine kills workers: the target alone, one step
///     best1.csv …                  the best graphs, best first
///     teachers/NET/                networks trained alone on all training data
///     retrained/NAME/s<seed>/      the best graphs, and plain training, KD and mutual learning of their networks. Of a search made
///                                  longer a graph stays where it was, and a new one whose best<k> is taken lies in best<k>-trial<n>
///     search.csv                   a row for each of those: test accuracy over the seeds
///
/// With --resume everything goes on where it was, or to more trials. Throws Interrupted after SIGINT or SIGTERM.
void run_ktg_search(SearchOptions& options, OptionTable& table);

/// `ktg search --transfer GRAPH`: trains that graph and the known methods beside it as above, with teachers of the data set named.
void run_ktg_transfer(SearchOptions& options, OptionTable& table);

}  // namespace distill
