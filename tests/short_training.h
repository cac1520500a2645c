// short_training.h: every method of the table in every form of it, in a training of a few steps.
// defines: testing::side, testing::classes, testing::network, testing::TrainedFiles, testing::trained, testing::Form, testing::forms,
//          testing::shortened, testing::ShortTraining
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "base_files.h"
#include "base_safetensors.h"
#include "base_texts.h"
#include "method_ktg.h"
#include "method_table.h"
#include "small_training.h"

namespace distill::testing {

constexpr int side = 8, classes = 4;
inline const std::string network = "resnet8";

/// Networks that saw some images, as files: what every method's teachers and frozen nodes are.
struct TrainedFiles : TempFolder {
    TrainedFiles() {
        for (const uint64_t seed : {1, 2}) {
            SmallTraining t(make_backend("cpu", {1}), side, 40);
            t.options.seed = seed;
            const Teacher teacher(t.backend(), t.options, classes);
            t.settle(teacher);
            WeightFile file{teacher.weights(), {{"network", network}, {"classes", std::to_string(classes)}}};
            write_safetensors(of(seed), file);
        }
    }
    std::string of(uint64_t seed) const { return (path() / (std::to_string(seed) + ".safetensors")).string(); }
};

inline const TrainedFiles& trained() {
    static const TrainedFiles files;
    return files;
}

/// A row in one of its forms (--benchmark-form): all that can be trained.
struct Form {
    const MethodRow* row;
    bool benchmark;
    std::string name() const { return std::string(row->name) + (benchmark ? ", the benchmark's" : ""); }
};
inline std::vector<Form> forms() {
    std::vector<Form> all;
    for (const MethodRow* row : methods()) {
        all.push_back({row, false});
        OptionTable table;
        const auto options = row->options();
        options->add_to(table);
        if (table.has("benchmark-form")) all.push_back({row, true});
    }
    return all;
}

/// A form's options for a short training: what it trains first, and warm-ups, last an epoch.
inline ChosenMethod shortened(const Form& form) {
    ChosenMethod m = choose(*form.row);
    OptionTable table;
    m.options->add_to(table);
    if (form.benchmark) table.set("benchmark-form", "on", "the test");
    for (const TableOption& option : table.options()) {
        if (option.is_phase_length || option.counts_epochs) table.set(option.name, "1", "the test");
    }
    if (auto* ktg = dynamic_cast<KtgOptions*>(m.options.get())) {  // its networks are the graph's: two that learn, one that is frozen
        ktg->graph.nodes = {{network, {}, {}}, {network, {}, {}}, {network, trained().of(1), {}}};
        ktg->graph.gates = {{Gate::through, Gate::linear, Gate::correct},
                            {Gate::correct, Gate::through, Gate::cutoff},
                            {Gate::cutoff, Gate::cutoff, Gate::cutoff}};
    }
    return m;
}

/// 40 images of 8x8 in batches of 16, so an epoch's steps are of 16, 16 and 8; two epochs.
struct ShortTraining {
    explicit ShortTraining(const Form& form, std::unique_ptr<Backend> backend = nullptr)
        : small(backend ? std::move(backend) : make_backend("cpu", {1}), side, 40), method(shortened(form)) {
        Options& o = small.options;
        o.batch = 16;
        o.epochs = 2;
        o.lr = 0.01;
        o.lr_steps = "1";
        const size_t count = form.row->teachers == Teaching::none ? 0 : form.row->teachers == Teaching::one ? 1 : 2;
        for (size_t i = 0; i < count; ++i) {
            o.teacher_weights = trained().of(i + 1);
            teachers.push_back(Teacher::load(small.backend(), o, classes, static_cast<int>(i) + 1));
        }
    }
    Make make() {
        return [this](const Setting& s, const Options& o) {
            Setting own = s;
            own.teachers = pointers(teachers);
            return method.options->make(own, o);
        };
    }
    Outcome outcome(const std::string& run, bool resume = false) { return small.outcome(run, make(), resume); }
    /// All tables of a run, but for what takes how long.
    std::string tables(const std::string& run) const {
        std::string all;
        for (const char* name : {"epochs.csv", "preparation.csv"})
            if (const fs::path file = small.path(run) / name; fs::exists(file)) all += without_seconds(file) + "\n";
        for (const char* name : {"steps.csv", "gradients.csv", "graphs.csv", "edges.csv"})
            if (const fs::path file = small.path(run) / name; fs::exists(file)) all += read_file(file) + "\n";
        return all;
    }

    SmallTraining small;
    ChosenMethod method;
    Teachers teachers;
};

}  // namespace distill::testing
