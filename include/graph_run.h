// graph_run.h: trainings of graphs as folders that are prepared in one process and trained in another.
// defines: add_graph_options, add_transfer_options, name_networks, prepare_graph_run, GraphRunner
#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "experiment.h"
#include "graph.h"

namespace distill {

/// All options of `ktg train`; and of these the losses'.
void add_graph_options(OptionTable& table, Options& options);
void add_transfer_options(OptionTable& table, Options& options);

/// The networks of a graph as result.csv names them: student the target, teacher the others, joined by +.
void name_networks(Options& options, const Graph& graph);

/// Makes a run folder as `ktg train` would, graph.csv included, for a GraphRunner; `facts` are config.csv's further rows. Nothing happens
/// where it is there already.
void prepare_graph_run(const fs::path& folder, const Graph& graph, const Options& options, const Config& facts);

/// Trains prepared folders one after the other. The device and the data stay open between runs that share them.
class GraphRunner {
  public:
    /// From its checkpoint if it has one, to its end or to where `goes_on` stops it.
    void train(const fs::path& folder, const AfterEpoch& goes_on);

  private:
    void open(const Options& options);
    std::string opened_;  ///< the options that `lab_` depends on
    std::optional<Laboratory> lab_;
};

}  // namespace distill
