// run_folders.h: run folders as trainings leave them, for what reads them.
// defines: testing::FinishedRun, testing::weights_of_run
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "base_safetensors.h"
#include "complaints.h"

namespace distill::testing {

/// Two epochs on 1,000 test images; of a graph two nodes. `options` are further rows of config.csv, or other values of those there.
struct FinishedRun {
    std::string method = "train", teacher = {}, student = "small", dataset = "tin", id = {};
    int seed = 0;
    double last = 60;
    std::vector<std::pair<std::string, std::string>> options = {};

    FinishedRun with(const std::string& option, const std::string& value) const {
        FinishedRun other = *this;
        other.options.emplace_back(option, value);
        return other;
    }
    void write(const fs::path& folder) const {
        std::vector<std::pair<std::string, std::string>> rows = {
            {"method", method}, {"dataset", dataset}, {"student", student}, {"teacher", teacher},           {"id", id},
            {"epochs", "2"},    {"batch", "128"},     {"lr", "0.1"},        {"seed", std::to_string(seed)}, {"info.test_images", "1000"}};
        std::string config = "option,value\n";
        for (const auto& [option, value] : rows) {
            if (method == "ktg" && (option == "student" || option == "teacher")) continue;  // its graph names them
            std::string now = value;
            for (const auto& [other, other_value] : options)
                if (other == option) now = other_value;
            config += option + "," + quoted(now) + "\n";
        }
        for (const auto& [option, value] : options)
            if (config.find("\n" + option + ",") == std::string::npos) config += option + "," + quoted(value) + "\n";
        put_file(folder / "config.csv", config);
        if (method == "ktg")
            put_file(folder / "graph.csv", "node,model,weights,gate_0,gate_1\n0,resnet8,,through,linear\n1,resnet20,,cutoff,correct\n");
        put_file(folder / "epochs.csv", text("epoch,train_loss,test_acc\n0,2,50\n1,1,", last, '\n'));
        put_file(folder / "result.csv",
                 text("id,dataset,teacher,student,method,seed,last,best,best_epoch,seconds,device,precision,commit\n", quoted(id), ',',
                      dataset, ',', teacher, ',', student, ',', method, ',', seed, ',', last, ',', last, ",1,60,cpu,fp32,abc\n"));
    }
    /// Seeds 0, 1, … with these accuracies, in s0, s1, ….
    void write_seeds(const fs::path& folder, const std::vector<double>& accuracies) const {
        FinishedRun run = *this;
        for (run.seed = 0; run.seed < static_cast<int>(accuracies.size()); ++run.seed) {
            run.last = accuracies[static_cast<size_t>(run.seed)];
            run.write(folder / text("s", run.seed));
        }
    }

  private:
    static std::string quoted(const std::string& value) { return "\"" + value + "\""; }
};

/// A run's helpers with its networks beside them, as --init takes them; of each network its file and what its names get before them.
inline WeightFile weights_of_run(const fs::path& run,
                                 const std::vector<std::pair<std::string, std::string>>& networks = {{"student", "student."}}) {
    WeightFile all = read_safetensors(run / "helpers.safetensors");
    for (const auto& [file, prefix] : networks)
        for (auto& [name, tensor] : read_safetensors(run / (file + ".safetensors")).tensors) all.tensors[prefix + name] = tensor;
    return all;
}

}  // namespace distill::testing
