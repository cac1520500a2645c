#include "ktg_graph_run.h"

#include <algorithm>
#include <optional>

#include "base_error.h"
#include "base_files.h"
#include "base_safetensors.h"
#include "base_texts.h"
#include "method_kd.h"
#include "method_ktg.h"
#include "run_many.h"

namespace distill {
namespace {

constexpr const char* method_name = "ktg";

/// The options of `ktg train` without a command line.
struct Offline {
    explicit Offline(Options& options) { add_graph_options(table, options); }
    OptionTable table;
};

Options options_of(const RunFolder& folder) {
    Options options;
    Offline offline(options);
    take_options_of(folder, method_name, offline.table);
    const Config config = folder.config();
    const std::optional<int64_t> generation = parsed_whole(value_of(config, "info.generation"));
    options.role = value_of(config, "info.role");
    if (options.role.empty() || !generation)
        input_error(folder.file("config.csv").string(), ": info.role or info.generation, which say where the training begins, is missing ",
                    "or no whole number; restore the file, or start anew in another folder");
    options.generation = static_cast<int>(*generation);
    return options;
}

}  // namespace

void add_transfer_options(OptionTable& t, Options& o) {
    t.add("--temperature", o.temperature, {0, Range().high, true}, "T of the softmaxes on transfer edges");
    t.add("--frozen-bn", o.frozen_bn, {"running", "batch"}, "statistics of frozen nodes' BatchNorm; batch is the authors' code");
}

void add_graph_options(OptionTable& t, Options& o) {
    add_data_options(t, o);
    t.add("--graph", o.graph, "the graph: a shipped one's name, or a .csv file");
    t.add("--models", o.models, "other networks on its nodes: 0=resnet20,1=wrn-16-2");
    t.add("--weights", o.weights, "files that nodes start from, paths from here: 1=teacher.safetensors; a frozen node needs one");
    add_classes_option(t, o);
    add_transfer_options(t, o);
    add_schedule_options(t, o);
    add_run_options(t, o);
}

void name_networks(Options& o, const Graph& graph) {
    o.student = graph.node(0).model;
    std::vector<std::string> others;
    for (int i = 1; i < graph.size(); ++i) others.push_back(graph.node(i).model);
    o.teacher = joined(others, "+");
}

void set_start(Options& o, const Graph& graph) {
    if (graph.size() > 1) o.role = "graph", o.generation = 1;  // else a network alone
    for (const GraphNode& node : graph.nodes)
        if (!node.weights.empty()) o.generation = std::max(o.generation, generation_after(read_safetensors(node.weights).metadata));
}

void prepare_graph_run(const fs::path& path, const Graph& graph, const Options& options, const Config& facts) {
    if (!fs::exists(path)) {
        Options own = options;
        own.graph = (path / "graph.csv").string();
        Config config{{"method", method_name}};
        for (auto& row : kept_options(Offline(own).table)) config.push_back(std::move(row));
        for (auto& fact : with_start(facts, options)) config.push_back(std::move(fact));
        RunFolder::create(path, config);
    }
    const fs::path file = path / "graph.csv";
    const std::string wanted = graph_csv(graph, path);
    if (!fs::exists(file)) write_file_atomically(file, wanted);
    if (read_file(file) != wanted)
        input_error(file.string(), ": this run was prepared with another graph than the one that is asked for now; restore that one, or ",
                    "start anew in another folder");
}

std::string SharedLaboratories::key(const Options& options) {
    Options own = options;
    std::string all;
    for (const auto& [option, value] : kept_options(Offline(own).table))
        for (const char* name :
             {"data", "dataset", "per-class", "val", "normalize", "device", "threads", "precision", "deterministic", "winograd"})
            if (option == name) all += option + "=" + value + "\n";
    return all;
}

std::shared_ptr<const Laboratory> SharedLaboratories::find(const std::string& key, const Options& options) {
    const std::lock_guard<std::mutex> guard(mutex_);
    std::weak_ptr<const Laboratory>& place = open_[key];
    std::shared_ptr<const Laboratory> found = place.lock();
    Options own = options;
    if (!found) place = found = std::make_shared<const Laboratory>(open_laboratory(own));
    return found;
}

void GraphRunner::open(const Options& options) {
    const std::string key = SharedLaboratories::key(options);
    if (own_ && key == key_) return;
    own_.reset();
    shared_.reset();  // if nobody else has it, its memory is the next one's
    shared_ = laboratories_.find(key, options);
    own_.emplace(shared_->beside(options));
    key_ = key;
}

void GraphRunner::train(const fs::path& path, const AfterEpoch& goes_on) {
    RunFolder folder = RunFolder::reopen(path);
    folder.lock();
    Options options = options_of(folder);
    if (folder.finished()) {  // in a process that did not live to say so
        const CsvTable result = read_csv(folder.file("result.csv"));
        goes_on(options.epochs, result.cell_number(0, "last"));
        return;
    }
    const Graph graph = read_graph(folder.file("graph.csv"));
    name_networks(options, graph);
    options.resume = options.quiet = true;
    open(options);
    Loader loader(*own_->backend, own_->on_device, own_->loader_options(options));
    const auto make = [&](Laboratory& lab, const Options& o) {
        return std::make_unique<KnowledgeTransferGraph>(*lab.backend, graph, o, lab.data->classes, lab.data->train.records);
    };
    train_in_folder(method_name, *own_, loader, options, folder, make, goes_on);
}

}  // namespace distill
