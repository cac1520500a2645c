// A run's folder as --resume reads it: config.csv as every option's value, epochs.csv cut to its first row. There is no data set, so none
// trains.
#include "base_command_line.h"
#include "base_csv.h"
#include "base_error.h"
#include "base_texts.h"
#include "cmd_feed.h"
#include "cmd_mhgd.h"
#include "cmd_training.h"
#include "fuzz.h"

namespace distill::fuzz {
namespace {

struct Told {
    void (*add)(Subcommand);
    std::vector<std::string> words;
};
const std::vector<Told> subcommands = {{add_training_commands, {"train"}},
                                       {add_training_commands, {"kd"}},
                                       {add_training_commands, {"reviewkd"}},
                                       {add_feed_commands, {"feed", "parallel"}},
                                       {add_mhgd_command, {"mhgd"}}};

void resume(const Told& subcommand, const fs::path& run) {
    CommandLine line;
    subcommand.add(line);
    require(line.find(joined(subcommand.words, " ")).value().has_option("--resume"), "the subcommand can go on");
    std::vector<std::string> words = subcommand.words;
    words.insert(words.end(), {"--resume", "--run=" + run.string(), "--threads=1"});
    try {
        line.run(words);
    } catch (const InputError&) {  // as it should: there are no data
    }
}

void keep_first_row(const fs::path& epochs) {
    try {
        keep_csv_rows(epochs, 1);
    } catch (const InputError&) {
        return;
    }
    require(read_csv(epochs).rows.size() <= 1, "no more rows are there than were to be kept");
}

}  // namespace

std::vector<std::string> seeds() {
    const std::string epochs = "epoch,lr,train_loss\n0,0.1,2.5\n1,0.1,";
    const auto seed = [&](char subcommand, const std::string& method, const std::string& rows) {
        const std::string common = "\ndata,none\ndataset,shapes\nstudent,resnet8\nepochs,2\nseed,0\n";
        return subcommand + joined_parts({epochs, "option,value\nmethod," + method + common + rows});
    };
    return {seed(0, "train", "lr,0.1\nlr-steps,\"150,180\"\nnormalize,auto\nthreads,1\ninfo.commit,a\n"),
            seed(1, "kd", "teacher,resnet14\nteacher-weights,t.safetensors\ntemperature,4\nalpha,0.9\n"),
            seed(2, "reviewkd", "teacher,resnet14\nkd-weight,auto\nno-abf,on\n"),
            seed(3, "feed", "teachers,\"a,b\"\nteacher-nets,resnet14\nbeta,500\n"),
            seed(4, "mhgd", "teacher,resnet14\nheads,8\nmixing,scale\n")};
}

void parse(const std::string& bytes) {
    if (bytes.empty()) return;
    const std::vector<std::string> parts = parts_of(bytes.substr(1), 2);
    const fs::path run = folder() / "run";
    fs::create_directories(run);
    keep_first_row(file_of(parts[0], "run/epochs.csv"));
    file_of(parts[1], "run/config.csv");
    resume(subcommands[static_cast<unsigned char>(bytes[0]) % subcommands.size()], run);
}

}  // namespace distill::fuzz
