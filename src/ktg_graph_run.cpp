#include "ktg_graph_run.h"

#include <optional>
#include <utility>

#include "base_error.h"
#include "base_files.h"
#include "run_experiment.h"
#include "run_many.h"
#include "run_resume.h"

namespace distill {
namespace {

constexpr const char* method_name = "ktg";

/// A run's options, which its config.csv says.
struct GraphTraining {
    explicit GraphTraining(const RunFolder& folder) {
        OptionTable table;
        add_graph_options(table, options, own);
        take_options_of(folder, method_name, table);
        const Config config = folder.config();
        const std::optional<int64_t> generation = parsed_whole(value_of(config, "info.generation"));
        options.role = value_of(config, "info.role");
        if (options.role.empty() || !generation)
            input_error(folder.file("config.csv").string(), ": info.role or info.generation, which say where the training begins, is ",
                        "missing or no whole number; restore the file, or start anew in another folder");
        options.generation = static_cast<int>(*generation);
    }
    Options options;
    KtgOptions own;
};

/// A training that was prepared before finds the data where they are now, which have moved if it did not go along.
void take_data(const fs::path& path, const Options& now) {
    RunFolder folder = RunFolder::reopen(path);
    if (folder.finished()) return;
    const Config config = folder.config();
    std::error_code gone;
    if (fs::equivalent(found_again(path, config, TableOption().place(), value_of(config, "data")), now.data, gone)) return;
    folder.lock();
    folder.set_options({{"data", fs::absolute(now.data).string()}});
}

}  // namespace

void add_graph_options(OptionTable& t, Options& o, KtgOptions& own) {
    add_data_options(t, o);
    own.add_naming_to(t);
    add_classes_option(t, o);
    own.add_transfer_to(t);
    add_schedule_options(t, o);
    add_run_options(t, o);
}

void prepare_graph_run(const fs::path& path, const Graph& graph, const Options& options, const KtgOptions& asked, const Config& facts) {
    if (fs::exists(path)) {
        take_data(path, options);
    } else {
        Options o = options;
        KtgOptions own = asked;
        own.file = (path / "graph.csv").string();
        OptionTable table;
        add_graph_options(table, o, own);
        RunFolder::create(path, run_config(method_name, table, with_start(facts, options)));
    }
    const fs::path file = path / "graph.csv";
    const std::string wanted = graph_csv(graph, path);
    if (!fs::exists(file)) write_file_atomically(file, wanted);
    if (read_file(file) != wanted)
        input_error(file.string(), ": this run was prepared with another graph than the one that is asked for now; restore that one, or ",
                    "start anew in another folder");
}

std::string SharedSessions::key(const Options& options) {
    Options o = options;
    KtgOptions own;
    OptionTable table;
    add_graph_options(table, o, own);
    std::string all;
    for (const TableOption& option : table.options())
        if (option.session) all += option.name + "=" + option.get() + "\n";
    return all;
}

std::shared_ptr<const SharedSession> SharedSessions::find(const std::string& key, const Options& options) {
    const std::lock_guard<std::mutex> guard(mutex_);
    std::weak_ptr<const SharedSession>& place = open_[key];
    std::shared_ptr<const SharedSession> found = place.lock();
    if (found) return found;
    Options own = options;
    Session session = open_session(own);
    const std::string data_sha256 = session.data_sha256();
    place = found = std::make_shared<const SharedSession>(SharedSession{std::move(session), data_sha256});
    return found;
}

void GraphRunner::open(const Options& options) {
    const std::string key = SharedSessions::key(options);
    if (own_ && key == key_) return;
    own_.reset();
    shared_.reset();  // if nobody else has it, its memory is the next one's
    shared_ = sessions_.find(key, options);
    own_.emplace(shared_->session.beside(options));
    key_ = key;
}

/// Refuses a data set that was replaced since the run was prepared, in another process. Older searches have of a trial on file what all images
/// are, those held out from it included: that is nothing to compare with.
void GraphRunner::require_same_data(const RunFolder& folder, const Options& options) const {
    const int64_t told = whole_of(folder.config(), "info.train_images"), here = own_->data->train.records;
    if (options.validation > 0 && told == here + options.validation) return;
    require_same_input(folder, {{"info.data_sha256", shared_->data_sha256}});
}

void GraphRunner::train(const fs::path& path, const AfterEpoch& goes_on) {
    RunFolder folder = RunFolder::reopen(path);
    folder.lock();
    GraphTraining training(folder);
    Options& options = training.options;
    if (folder.finished()) {  // in a process that did not live to say so
        goes_on(options.epochs, read_result(path).cell_number(0, "last"));
        return;
    }
    training.own.graph = read_graph(folder.file("graph.csv"));
    name_networks(options, training.own.graph);
    options.resume = options.quiet = true;
    open(options);
    require_same_data(folder, options);
    Loader loader(*own_->backend, own_->on_device, own_->loader_options(options));
    const auto make = [&](Session& session, const Options& o) { return training.own.make(session.setting(), o); };
    train_in_folder(method_name, *own_, loader, options, folder, make, goes_on);
}

}  // namespace distill
