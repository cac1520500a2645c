// data/paper: its first row as --preset of every subcommand that has one. There is no data set, so none trains.
#include "base_command_line.h"
#include "base_error.h"
#include "cmd_feed.h"
#include "cmd_ktg.h"
#include "cmd_mhgd.h"
#include "cmd_training.h"
#include "fuzz.h"
#include "paper_plan.h"

namespace distill::fuzz {
namespace {

struct Told {
    void (*add)(Subcommand);
    std::vector<std::string> words;
};
const std::vector<Told> subcommands = {{add_training_commands, {"train"}},          {add_training_commands, {"kd"}},
                                       {add_training_commands, {"reviewkd"}},       {add_feed_commands, {"feed", "parallel"}},
                                       {add_feed_commands, {"feed", "sequential"}}, {add_mhgd_command, {"mhgd"}},
                                       {add_ktg_commands, {"ktg", "train"}}};

/// While it lives, the current folder is one with data/paper and data/graphs.
class InProject {
  public:
    explicit InProject(const std::string& paper) {
        for (const char* part : {"data/paper", "data/graphs"}) fs::create_directories(folder() / part);
        file_of("node,model,weights,gate_0,gate_1\n0,resnet8a,,linear,through\n1,resnet8a,,cutoff,cutoff\n", "data/graphs/kd.csv");
        file_of(paper, "data/paper/input.csv");
        fs::current_path(folder());
    }
    ~InProject() { fs::current_path(before_); }

  private:
    const fs::path before_ = fs::current_path();
};

void use(const Told& subcommand, const std::string& preset) {
    CommandLine line;
    subcommand.add(line);
    std::vector<std::string> words = subcommand.words;
    words.insert(words.end(), {"--preset=" + preset, "--data=none", "--threads=1", "--device=cpu"});
    try {
        line.run(words);
    } catch (const InputError&) {  // as it should: there are no data, and not every subcommand has all options
    }
}

}  // namespace

std::vector<std::string> seeds() {
    const std::string columns = "id,table,dataset,teacher,student,method,command,options,metric,value,std,source\n";
    std::vector<std::string> all;
    for (const char* row :
         {"a,t,cifar100,resnet56,resnet20,reviewkd,reviewkd,recipe=reviewkd,top1,71.89,,s",
          "b,t,cifar100,resnet56,resnet20,reviewkd-r-res,reviewkd,no-abf=on no-hcl=on,top1,,,s",
          "c,t,cifar100,resnet56,resnet20,kd,kd,recipe=crd teacher-weights={d},top1,70.66,0.2,s",
          "d,t,cifar100,resnet56,resnet20,teacher,train,student=resnet56,top1,72,,s",
          "e,t,cifar100,resnet56+resnet56,resnet20,feed,feed parallel,train-teachers=2 teachers={d:2},top1,,,s",
          "f,t,cifar100,resnet56,resnet20,ft,ft,recipe=feed,top1,,,s", "g,t,cifar100,wrn-22-4,wrn-10-4,mhgd-heads-4,mhgd,heads=4,top1,,,s",
          "ktg-i,t,cifar100,wrn-28-2,resnet32a,ktg-kd,ktg train,\"graph=kd models=0=resnet32a,1=wrn-28-2\",top1,,,s",
          "j,t,cifar100,,resnet32a,student,train,normalize=none,top1,71.2,,\"a, b\""})
        all.push_back(columns + row + "\n");
    return all;
}

void parse(const std::string& bytes) {
    const InProject project(bytes);
    const std::vector<PaperRow> rows = load_paper("data/paper");
    if (rows.empty()) return;
    student_alone(rows, rows.front());
    try {
        plan_rows(rows, {}, {});
    } catch (const InputError&) {  // a row that needs itself, or one that is not there
    }
    for (const Told& subcommand : subcommands) use(subcommand, rows.front().id);
}

}  // namespace distill::fuzz
