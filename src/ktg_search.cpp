#include "ktg_search.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <set>

#include "base_error.h"
#include "base_files.h"
#include "base_stats.h"
#include "base_texts.h"
#include "ktg_graph_run.h"
#include "ktg_known_methods.h"
#include "ktg_worker_plan.h"
#include "net_table.h"
#include "run_experiment.h"
#include "run_many.h"
#include "run_resume.h"
#include "search.h"
#include "train_interruption.h"
#include "train_schedule.h"

namespace distill {
namespace {

constexpr double lock_patience = 10;  // seconds that the workers of a search killed just now may take to end

std::set<std::string> frozen_networks(const Graph& graph) {
    std::set<std::string> names;
    for (int i = 0; i < graph.size(); ++i)
        if (graph.is_frozen(i)) names.insert(graph.node(i).model);
    return names;
}

/// All that the search, or the transfer, may train.
std::set<std::string> all_networks(const SearchOptions& s) {
    std::set<std::string> names;
    if (s.transfer.empty()) {
        const SearchSpace space = search_space_of(s);
        names.insert(space.models.begin(), space.models.end());
        names.insert(space.target);
    } else {
        for (const GraphNode& node : read_graph(find_graph(s.transfer)).nodes)
            if (!node.is_ensemble()) names.insert(node.model);
    }
    return names;
}

/// A search or a transfer under way: its options resolved, its folder open and locked, its workers at hand.
class GraphSearch {
  public:
    GraphSearch(const std::string& method, SearchOptions& options, OptionTable& table);
    void search(const SearchSpace& space);
    void compare(std::vector<Candidate> candidates);
    ~GraphSearch() { remove_probes(); }
    GraphSearch(const GraphSearch&) = delete;
    GraphSearch& operator=(const GraphSearch&) = delete;

  private:
    void require_fitting_data();
    void make_longer();
    WorkerProcesses& pool();
    enum class Trains { graph, alone, teacher };
    Options training(Trains what, int64_t validation) const;
    const Config& facts_of(int64_t validation) const { return validation > 0 ? held_out_facts_ : facts_; }
    std::string probe(int64_t number, int64_t validation) const;
    void remove_probes() const;
    void train_alone(const fs::path& into, const std::set<std::string>& networks, int64_t validation);
    void train_folders(const std::string& what, const std::vector<std::string>& folders, int64_t validation, bool must_succeed);
    Graph with_weights(Graph graph, const fs::path& from) const;
    std::optional<JournalFile> journal_so_far() const;
    std::map<std::string, std::string> retrained_graphs() const;
    fs::path retrained_folder(const Candidate& candidate, int i) const;
    void write_results(const std::vector<Candidate>& candidates) const;

    SearchOptions& s_;
    Options& o_;
    fs::path base_;
    fs::path journal_;
    Config study_, facts_;   ///< what the journal begins with; of every run on all training data
    Config held_out_facts_;  ///< of every run without the images that trials are scored on
    std::optional<RunFolder> folder_;
    WorkerPlan workers_;
    std::unique_ptr<WorkerProcesses> pool_;
};

/// --trials 0 is the authors' number, or all of the grid.
void settle_trials(SearchOptions& s) {
    const std::optional<int64_t> all = search_space_of(s).size();
    const bool grid = s.sampler == "grid";
    if (grid && !all) input_error("--sampler grid: graphs of ", s.nodes, " nodes are too many to try each; use --sampler random");
    if (s.trials == 0) s.trials = grid ? *all : authors_trials;
    if (grid && s.trials > *all) input_error("--trials ", s.trials, ": the grid has ", *all, " graphs");
}

GraphSearch::GraphSearch(const std::string& method, SearchOptions& options, OptionTable& table)
    : s_(options), o_(options.training), base_(o_.run), journal_(base_ / "journal.csv") {
    const bool known = o_.resume;
    if (known) {
        take_search_options(RunFolder::reopen(base_), s_, table);
        o_.given_anew = table.given_anew();
    }
    if (s_.transfer.empty()) {
        settle_trials(s_);
        if (s_.score == "test" && o_.validation > 0) input_error("--val ", o_.validation, ": with --score test nothing is held out");
    }
    const std::string scaled = scale_with_epochs(table, o_);
    parse_lr_steps(o_.lr_steps);
    require_fitting_data();
    workers_ = plan_workers(o_.device, s_.devices, s_.jobs);
    const Config kept = kept_options(table);
    print_configuration(method, kept);
    std::printf("%s", scaled.c_str());
    note_late_milestones(o_);
    if (s_.jobs > 1) std::printf("note: who reports first is promoted first: only --jobs 1 repeats exactly\n");
    if (o_.resume) std::printf("note: trainings under way keep the device and threads they began with, new ones get those above\n");
    if (s_.transfer.empty() && s_.score == "test")
        std::printf("note: trials are scored on the test set, as the authors do: the best was chosen by the images that it is tested on\n");
    Config config = run_config(method, table, facts_);
    config.emplace_back("info.start_key", std::to_string(start_key_version));
    folder_ = known ? RunFolder::reopen(base_) : RunFolder::create(base_, config);
    folder_->lock(lock_patience);
    remove_probes();  // of a search that was killed
    if (known) require_same_input(*folder_, facts_);
    const Config then = folder_->config();
    study_ = {{"format", "1"}, {"start_key", std::to_string(start_key_version)}};
    for (const auto& [name, value] : kept)  // what may be said anew apart, and options that are newer; places as the search began
        if (const TableOption& option = table.at(name); !option.may_be_said_anew && has_option(then, name))
            study_.emplace_back(name, option.places == Places::none ? value : value_of(then, name));
    study_.emplace_back("data_sha256", value_of(facts_, "info.data_sha256"));
    catch_interruption(o_.time_limit);
}

/// Started when there is something to train: then they inherit the lock that stays (make_longer takes it anew). While one of them lives,
/// nobody else works in the folder.
WorkerProcesses& GraphSearch::pool() {
    if (!pool_) pool_ = std::make_unique<WorkerProcesses>(workers_);
    return *pool_;
}

/// More trials, if they are asked for: what each is, and which goes on, hangs on those before it alone, so the search ends as if it had been
/// begun so. Its results are made anew; what was trained for them stays.
void GraphSearch::make_longer() {
    const int64_t before = whole_of(folder_->config(), "trials");
    if (s_.trials == before) return;
    std::printf("note: %s goes on from %lld to %lld trials\n", base_.c_str(), static_cast<long long>(before),
                static_cast<long long>(s_.trials));
    fs::remove(base_ / "search.csv");  // which says that the search is finished
    folder_->set_options({{"trials", std::to_string(s_.trials)}});
}

/// Opens device and data once, for what follows from them and for what can be wrong with them; the workers open their own.
void GraphSearch::require_fitting_data() {
    const int64_t asked = o_.validation;
    o_.device = s_.devices;
    if (s_.devices != "cpu" && s_.devices != "auto") o_.device = "cuda", o_.gpu = parse_devices(s_.devices).front();
    o_.validation = 0;
    std::optional<Session> session(open_session(o_));
    facts_ = run_facts(*session);
    if (s_.transfer.empty() && s_.score == "validation") {
        constexpr int64_t authors_part = 5;  // 10,000 of CIFAR's 50,000
        o_.validation = asked > 0 ? asked : std::max<int64_t>(1, session->data->train.records / authors_part);
        session.reset();
        session.emplace(open_session(o_));
        held_out_facts_ = run_facts(*session);
    }
    for (const std::string& name : all_networks(s_)) {
        Parameters layout(*session->backend, false);  // never allocated
        make_network(name, session->data->classes, layout)->require_images(session->data->height, session->data->width);
    }
    for (const Trains what : {Trains::graph, Trains::alone}) {
        LoaderOptions batches = session->loader_options(training(what, 0));
        if (what == Trains::alone) batches.batch_option = "--alone-batch";
        Loader(*session->backend, session->on_device, batches);
    }
}

/// Teachers of frozen nodes have a role of their own. All graphs have one generation: their teachers learnt from labels alone.
Options GraphSearch::training(Trains what, int64_t validation) const {
    Options o = o_;
    o.validation = validation;
    if (what != Trains::graph) o.batch = s_.alone_batch;
    o.role = what == Trains::teacher ? "teacher" : what == Trains::alone ? "alone" : "graph";
    o.generation = what == Trains::graph ? 1 : 0;
    if (o.device == "cpu") o.threads = std::max(1, o_.threads / s_.jobs);
    return o;
}

/// A run of the target alone, or of a transfer's first network, over a step.
std::string GraphSearch::probe(int64_t number, int64_t validation) const {
    const fs::path folder = base_ / "probe" / std::to_string(number);
    fs::remove_all(folder);
    Options options = training(Trains::alone, validation);
    options.epochs = 1;
    options.max_steps = 1;
    const std::string network = s_.transfer.empty() ? s_.target : *all_networks(s_).begin();
    prepare_graph_run(folder, mutual_learning({network}), options, s_.losses, facts_of(validation));
    return folder.string();
}

void GraphSearch::remove_probes() const {
    std::error_code none;
    fs::remove_all(base_ / "probe", none);
}

void GraphSearch::train_folders(const std::string& what, const std::vector<std::string>& folders, int64_t validation, bool must_succeed) {
    std::vector<std::string> left;
    for (const std::string& folder : folders)
        if (!RunFolder::reopen(folder).finished()) left.push_back(folder);
    if (left.empty()) return;
    if (!o_.quiet) std::printf("%s: %zu trainings\n", what.c_str(), left.size()), std::fflush(stdout);
    for (const FailedRun& failed : train_all(
             pool(), left, [&](int64_t number) { return probe(number, validation); }, o_.quiet)) {
        if (must_succeed) failure(failed.folder, ": ", failed.reason);
        std::printf("%s failed: %s\n", failed.folder.c_str(), failed.reason.c_str());
    }
}

void GraphSearch::train_alone(const fs::path& into, const std::set<std::string>& networks, int64_t validation) {
    std::vector<std::string> folders;
    for (const std::string& network : networks) {
        prepare_graph_run(into / network, mutual_learning({network}), training(Trains::teacher, validation), s_.losses,
                          facts_of(validation));
        folders.push_back((into / network).string());
    }
    train_folders("networks trained alone, for frozen nodes", folders, validation, true);
}

/// Frozen nodes get the networks trained alone in `from`.
Graph GraphSearch::with_weights(Graph graph, const fs::path& from) const {
    for (int i = 0; i < graph.size(); ++i)
        graph.nodes[static_cast<size_t>(i)].weights = graph.is_frozen(i) ? from / graph.node(i).model / "student.safetensors" : fs::path();
    return graph;
}

/// The search's journal, if one was begun. InputError if it is gone, or another search's.
std::optional<JournalFile> GraphSearch::journal_so_far() const {
    if (!fs::exists(journal_)) {
        if (fs::exists(base_ / "trials"))
            input_error(journal_.string(), ": the journal of the trials beside it is gone; restore it, or start anew in another folder");
        return {};
    }
    JournalFile so_far = read_journal(journal_);
    require_same_study(journal_, study_, so_far);
    if (so_far.torn_bytes > 0)
        std::printf("%s: its last line was cut off after %zu bytes, and is dropped\n", journal_.c_str(), so_far.torn_bytes);
    return so_far;
}

void GraphSearch::search(const SearchSpace& space) {
    std::optional<JournalFile> so_far = journal_so_far();  // refused before anything is changed
    make_longer();
    const auto graph_of = [&](int64_t trial) { return s_.sampler == "grid" ? space.at(trial) : space.random(o_.seed, trial); };
    const auto folder_of = [&](int64_t trial) { return base_ / "trials" / std::to_string(trial); };
    std::set<std::string> frozen;
    for (int64_t trial = 0; trial < s_.trials; ++trial)
        if (const Graph graph = graph_of(trial); !graph.is_frozen(0)) frozen.merge(frozen_networks(graph));
    train_alone(base_ / "pretrained", frozen, o_.validation);

    SearchPlan plan;
    plan.trials = s_.trials;
    plan.epochs = o_.epochs;
    plan.stops = s_.stopping;
    plan.keep = s_.best;
    plan.propose = [&](int64_t trial) {
        const Graph graph = graph_of(trial);
        return Proposal{graph_line(graph), graph.is_frozen(0) ? "its target would be frozen" : "", graph_line(heard_by_target(graph))};
    };
    plan.prepare = [&](int64_t trial) {
        const Graph graph = with_weights(graph_of(trial), base_ / "pretrained");
        prepare_graph_run(folder_of(trial), graph, training(Trains::graph, o_.validation), s_.losses, facts_of(o_.validation));
        return folder_of(trial).string();
    };
    plan.probe = [&](int64_t trial) { return probe(trial, o_.validation); };
    plan.tidy = [&](int64_t trial, bool keep_weights) {
        std::error_code none;  // a folder that a kill left unmade has nothing to tidy
        for (const fs::directory_entry& entry : fs::directory_iterator(folder_of(trial), none))
            if (const fs::path kind = entry.path().extension(); kind == ".bin" || (kind == ".safetensors" && !keep_weights))
                fs::remove(entry.path());
    };

    Journal journal = so_far ? Journal(journal_, study_, *so_far) : Journal(journal_, study_);
    Search run(plan, journal, pool(), o_.quiet);
    if (so_far) run.replay(so_far->rows);
    so_far.reset();
    run.run();
    const SearchTally& tally = run.tally();
    std::printf("%s\n", text(tally.ended(), " trials: ", tally.words(), "; ", number(run.seconds()), " s, of which the search itself took ",
                             number(run.bookkeeping_seconds()))
                            .c_str());
    if (run.best().empty()) failure(journal_.string(), ": no trial was complete; it says why");
    const std::map<std::string, std::string> retrained = retrained_graphs();
    std::vector<Candidate> candidates;
    for (const TrialScore& score : run.best()) {
        const Graph graph = graph_of(score.trial);
        const std::string line = graph_line(graph), best = text("best", candidates.size() + 1);
        const auto same = std::find_if(retrained.begin(), retrained.end(), [&](const auto& r) { return r.second == line; });
        const std::string unused = retrained.count(best) > 0 ? text(best, "-trial", score.trial) : best;
        candidates.push_back({same != retrained.end() ? same->first : unused, graph, score, false});
        std::printf("%s: trial %lld, error %s %%: %s\n", candidates.back().name.c_str(), static_cast<long long>(score.trial),
                    fixed(score.error).c_str(), line.c_str());
    }
    std::fflush(stdout);
    compare(std::move(candidates));
}

/// By name, the graphs that were the best when this search, perhaps a shorter one, ended or was cut off there.
std::map<std::string, std::string> GraphSearch::retrained_graphs() const {
    std::map<std::string, std::string> lines;
    std::error_code none;  // there is no folder before the first
    for (const fs::directory_entry& entry : fs::directory_iterator(base_ / "retrained", none)) {
        const std::string name = entry.path().filename().string();
        if (const fs::path file = seed_folder(entry.path(), o_.seed) / "graph.csv"; starts_with(name, "best") && fs::exists(file))
            lines[name] = graph_line(read_graph(file));
    }
    return lines;
}

fs::path GraphSearch::retrained_folder(const Candidate& candidate, int i) const {
    return seed_folder(base_ / "retrained" / candidate.name, o_.seed + static_cast<uint64_t>(i));
}

/// Trains the graphs, and the known methods beside them, on all the training data.
void GraphSearch::compare(std::vector<Candidate> candidates) {
    add_known_methods(candidates, o_.batch, s_.alone_batch);
    // Scored on the test set, the search has trained its frozen networks on all the data already.
    const fs::path teachers = base_ / (s_.transfer.empty() && s_.score == "test" ? "pretrained" : "teachers");
    std::set<std::string> frozen;
    for (const Candidate& c : candidates) frozen.merge(frozen_networks(c.graph));
    std::vector<std::string> folders;  // prepared before anything trains: one that holds another graph is refused at once
    int rank = 0;
    for (const Candidate& c : candidates) {
        const Graph graph = with_weights(c.graph, teachers);
        if (c.found) write_file_atomically(base_ / text("best", ++rank, ".csv"), graph_csv(graph, base_));
        for (int i = 0; i < s_.retrain_seeds; ++i) {
            Options options = training(c.as_alone ? Trains::alone : Trains::graph, 0);
            options.seed += static_cast<uint64_t>(i);
            folders.push_back(retrained_folder(c, i).string());
            prepare_graph_run(folders.back(), graph, options, s_.losses, facts_);
        }
    }
    train_alone(teachers, frozen, 0);
    train_folders("on all training data", folders, 0, false);
    write_results(candidates);
}

void GraphSearch::write_results(const std::vector<Candidate>& candidates) const {
    std::vector<std::vector<std::string>> rows;
    std::printf("%-28s %-20s %s\n", "test accuracy in %", "mean ± std (n)", "graph");
    for (const Candidate& c : candidates) {
        std::vector<double> accuracies;
        for (int i = 0; i < s_.retrain_seeds; ++i)
            if (const RunFolder run = RunFolder::reopen(retrained_folder(c, i)); run.finished())
                accuracies.push_back(read_result(run.path()).cell_number(0, "last"));
        const Spread s = spread(accuracies);
        const std::string line = graph_line(c.graph);
        rows.push_back({c.name, c.found ? std::to_string(c.found->trial) : "", c.found ? number(c.found->error) : "",
                        s.n > 0 ? number(s.mean) : "", deviation_cell(s), std::to_string(s.n), line});
        const std::string shown = s.n > 0 ? text(mean_and_deviation(s), " (", s.n, ")") : "failed";
        std::printf("%-28s %-*s %s\n", c.name.c_str(), s.n > 1 ? 21 : 20, shown.c_str(), line.c_str());
    }
    write_file_atomically(base_ / "search.csv", csv_text({"id", "trial", "search_error", "test_mean", "test_std", "n", "graph"}, rows));
    std::printf("written to %s\n", (base_ / "search.csv").c_str());
    std::fflush(stdout);
}

/// An interrupted run says how it goes on.
template <class Work>
void interruptible(const Options& o, Work work) {
    try {
        work();
    } catch (const Interrupted&) {
        throw Interrupted(text("interrupted; go on with --resume --run ", shell_word(o.run), o.given_anew));
    }
}

}  // namespace

SearchSpace search_space_of(const SearchOptions& s) {
    SearchSpace space{s.target, split(s.models, ','), s.nodes};
    if (space.models.empty()) input_error("--models: no network named; there are: ", network_names());
    network_row(s.target);  // throws for an unknown name
    for (const std::string& model : space.models) network_row(model);
    return space;
}

bool take_search_options(const RunFolder& folder, SearchOptions& s, OptionTable& table) {
    const bool transfers = !s.transfer.empty();
    take_options_of(folder, transfers ? "ktg-transfer" : "ktg-search", table, false, {"trials"});
    if (transfers) return false;
    settle_trials(s);
    const int64_t before = whole_of(folder.config(), "trials");
    if (s.trials < before)
        input_error("--trials ", s.trials, ": ", folder.path().string(), " was started with ", before,
                    ", and a search can be made longer, not shorter; resume without it, or start anew in another folder");
    return s.trials > before;
}

std::string default_search_run(const SearchOptions& s) {
    return (s.transfer.empty() ? "runs/ktg-search-" : "runs/ktg-transfer-") + s.training.dataset;
}

void run_ktg_search(SearchOptions& s, OptionTable& table) {
    interruptible(s.training, [&] {
        GraphSearch search("ktg-search", s, table);
        search.search(search_space_of(s));
    });
}

void run_ktg_transfer(SearchOptions& s, OptionTable& table) {
    const Graph graph = read_graph(find_graph(s.transfer));
    require_sound(graph, s.transfer);
    interruptible(s.training, [&] {
        GraphSearch transfer("ktg-transfer", s, table);
        transfer.compare({{"transferred", graph, {}, graph.size() == 1}});
    });
}

}  // namespace distill
