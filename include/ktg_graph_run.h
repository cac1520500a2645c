// ktg_graph_run.h: trainings of graphs as folders that are prepared in one process and trained in another.
// defines: add_graph_options, prepare_graph_run, SharedSession, SharedSessions, GraphRunner
#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "method_ktg.h"
#include "run_session.h"
#include "trainer.h"

namespace distill {

/// All options of `ktg train`.
void add_graph_options(OptionTable& table, Options& options, KtgOptions& own);

/// Makes a run folder as `ktg train` would, graph.csv included, for a GraphRunner; `facts` are config.csv's further rows. One that is there
/// already only learns where the data are now; InputError if it holds another graph.
void prepare_graph_run(const fs::path& folder, const Graph& graph, const Options& options, const KtgOptions& own, const Config& facts);

/// A session that stays as it is, and Session::data_sha256() of it.
struct SharedSession {
    Session session;
    std::string data_sha256;
};

/// Sessions that several threads' runners share: the data set is read once and lies in the device's memory once.
class SharedSessions {
  public:
    static std::string key(const Options& options);  ///< what a session depends on
    /// The one with this key; opened if nobody has it open.
    std::shared_ptr<const SharedSession> find(const std::string& key, const Options& options);

  private:
    std::mutex mutex_;
    std::map<std::string, std::weak_ptr<const SharedSession>> open_;
};

/// Trains prepared folders one after the other, in one thread. The device and the data stay open between runs that share them.
class GraphRunner {
  public:
    explicit GraphRunner(SharedSessions& sessions) : sessions_(sessions) {}
    /// From its checkpoint if it has one, to its end or to where `goes_on` stops it. InputError if the data are not those that it was
    /// prepared for.
    void train(const fs::path& folder, const AfterEpoch& goes_on);

  private:
    void open(const Options& options);
    void require_same_data(const RunFolder& folder, const Options& options) const;
    SharedSessions& sessions_;
    std::string key_;
    std::shared_ptr<const SharedSession> shared_;
    std::optional<Session> own_;  ///< beside `shared_`
};

}  // namespace distill
