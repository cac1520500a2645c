// MHGD's tables in data/paper, and --preset for their rows.
#include <map>

#include "base_csv.h"
#include "command.h"
#include "complaints.h"
#include "device.h"
#include "net_table.h"
#include "paper.h"
#include "report.h"
#include "report_collect.h"
#include "report_summary.h"
#include "train_recipes.h"
#include "train_run_folder.h"
#include "workplace.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

/// data/s: four textures of 16x16; t: a teacher's run.
struct PresetWorkplace : Workplace {
    PresetWorkplace() : Workplace(64) { train("train --preset mhgd-c100-resnet32x4-resnet8x4-teacher --net resnet8 --run t"); }
    /// Two steps of 100 epochs' training; what does not fit into a test is given by hand.
    void train(const std::string& line) const {
        INFO("distill " << line);
        const Ended end = run(*this, line + " --dataset s --batch 32 --max-steps 2 --threads 1 --quiet");
        CAPTURE(end.err);
        REQUIRE(end.code == 0);
    }
    std::string option(const std::string& run, const std::string& name) const {
        return value_of(read_config(path() / run / "config.csv"), name);
    }
};

const std::string pair = " --teacher resnet8 --teacher-weights t/student.safetensors --student resnet8 ";

}  // namespace

TEST_CASE("mhgd presets: the slides' tables are on file") {
    const auto rows = load_paper(paper_folder());
    const std::map<std::string, double> cells = {{"c100-vgg16-vgg7-mhgd", 67.02},          {"c100-wrn-22-4-wrn-10-4-kd-svdf", 71.82},
                                                 {"tiny-vgg16-vgg7-teacher", 56.30},       {"tiny-wrn-22-4-wrn-10-4-mhgd", 56.90},
                                                 {"c100-wrn-22-4-mobilenet-fsp", 60.35},   {"c100-vgg16-vgg7-heads-16", 66.70},
                                                 {"c100-resnet32x4-resnet8x4-rkd", 73.40}, {"c100-wrn-22-4-resnet-student", 71.57}};
    for (const auto& [id, value] : cells) {
        INFO(id);
        CHECK(*find_paper_row(rows, "mhgd-" + id).value == doctest::Approx(value));
    }
    const PaperRow& tiny = find_paper_row(rows, "mhgd-tiny-wrn-22-4-wrn-10-4-mhgd");
    CHECK(tiny.dataset == "tiny-imagenet");
    CHECK(*student_alone(rows, tiny)->value == doctest::Approx(55.91));
    CHECK(*student_alone(rows, find_paper_row(rows, "mhgd-c100-resnet32x4-resnet8x4-mhgd"))->value == doctest::Approx(71.76));
    CHECK(*student_alone(rows, find_paper_row(rows, "reviewkd-c100-resnet32x4-resnet8x4-reviewkd"))->value == doctest::Approx(72.50));

    size_t on_file = 0;
    const auto backend = make_backend("cpu");
    for (const PaperRow& row : rows) {
        if (row.id.rfind("mhgd-", 0) != 0) continue;
        ++on_file;
        INFO(row.id);
        CHECK((row.value && row.metric == "top1"));
        for (const std::string& name : {row.teacher, row.student}) {
            Parameters parameters(*backend, false);
            CHECK(make_network(name, 10, parameters)->name() == name);
        }
    }
    CHECK(on_file == 4 * 8 + 3 * 6 + 6 + 12);
}

TEST_CASE("mhgd presets: a row sets networks, method, heads and the paper's training") {
    const PresetWorkplace folder;
    CHECK(folder.option("t", "epochs") == "100");
    CHECK(folder.option("t", "lr-steps") == "30,60,80");
    CHECK(folder.option("t", "crop-pad") == "reflect");
    CHECK(folder.option("t", "nesterov") == "on");
    CHECK(folder.option("t", "lr") == "0.1");
    CHECK(folder.option("t", "batch") == "32");  // by hand
    const std::string imported = folder.option("t", "normalize");
    CHECK(imported != find_recipe("mhgd").normalize);  // the set's own

    folder.train("kd --preset mhgd-c100-wrn-22-4-wrn-10-4-kd-svd --run svd" + pair);
    CHECK(folder.option("svd", "method") == "kd-svd");
    CHECK(read_csv(folder / "svd/result.csv").cell(0, "method") == "kd-svd");
    folder.train("kd --preset mhgd-c100-resnet32x4-resnet8x4-soft-logits --run soft" + pair);
    CHECK(folder.option("soft", "alpha") == "0.3");
    folder.train("kd --preset mhgd-c100-resnet32x4-resnet8x4-ft --paraphraser-epochs 1 --run ft" + pair);
    CHECK(folder.option("ft", "epochs") == "100");

    folder.train("mhgd --preset mhgd-c100-vgg16-vgg7-heads-4 --mha-epochs 1 --run four" + pair);
    CHECK(folder.option("four", "heads") == "4");
    CHECK(folder.option("four", "lr-steps") == "30,60,80");
    folder.train("mhgd --preset mhgd-tiny-wrn-22-4-wrn-10-4-mhgd --mha-epochs 1 --run eight" + pair);
    CHECK(folder.option("eight", "heads") == "8");
    CHECK(folder.option("eight", "normalize") == imported);
    CHECK(read_csv(folder / "eight/result.csv").cell(0, "id") == "mhgd-tiny-wrn-22-4-wrn-10-4-mhgd");

    check_rejected(folder, "train --preset mhgd-c100-vgg16-vgg7-fsp", {"row of method fsp", "use it with: distill fsp"});
    check_rejected(folder, "kd --preset mhgd-c100-vgg16-vgg7-heads-0", {"row of method student", "use it with: distill train"});
    check_rejected(folder, "kd --preset mhgd-c100-resnet32x4-resnet8x4-dml", {"method dml", "on file for the report only"});
    check_rejected(folder, "mhgd --preset reviewkd-c100-resnet56-resnet20-kd", {"row of method kd", "use it with: distill kd"});
    check_rejected(folder, "mhgd --preset mhgd-c100-vgg16-vgg7-heads-4 --heads 1,2", {"one number of heads", "asks for 2"});
}

TEST_CASE("mhgd presets: the report sets runs beside the slides' numbers") {
    const TempFolder folder;
    const auto write_run = [&](const std::string& name, const std::string& method, const std::string& teacher, double last,
                               const std::string& heads) {
        put_file(folder / name / "config.csv", "option,value\nmethod," + method + "\nepochs,100\npreset," + name +
                                                   "\ninfo.by_hand,\ninfo.train_images,50000\ninfo.test_images,10000\n" + heads);
        put_file(folder / name / "epochs.csv", text("epoch,train_loss,test_acc\n0,2,", last, '\n'));
        put_file(folder / name / "result.csv",
                 text("id,dataset,teacher,student,method,seed,last,best,best_epoch,seconds,device,precision,commit\n", name, ",cifar100,",
                      teacher, ",vgg7-mhgd,", method, ",0,", last, ',', last + 1, ",0,60,cpu,fp32,abc\n"));
    };
    const std::string row = "mhgd-c100-vgg16-vgg7-";
    write_run(row + "student", "train", "", 60, "");
    write_run(row + "kd-svd", "kd-svd", "vgg16-mhgd", 64, "");
    write_run(row + "mhgd", "mhgd", "vgg16-mhgd", 67, "heads,8\n");
    write_run(row + "heads-4", "mhgd", "vgg16-mhgd", 66, "heads,4\n");
    write_run(row + "kd-svdf", "kd", "vgg16-mhgd", 66, "");
    const Report report = summarize(collect_runs({folder.path()}), load_paper(paper_folder()));
    std::map<std::string, const Group*> by_id;
    for (const Group& g : report.groups) by_id[g.any().id] = &g;
    REQUIRE(by_id.size() == 5);
    CHECK(*by_id[row + "student"]->difference == doctest::Approx(60 - 59.97));
    CHECK(*by_id[row + "kd-svd"]->difference == doctest::Approx(64 - 64.25));
    CHECK(*by_id[row + "mhgd"]->difference == doctest::Approx(67 - 67.02));
    CHECK(*by_id[row + "mhgd"]->paper_gain == doctest::Approx(67.02 - 59.97));
    CHECK(*by_id[row + "mhgd"]->gain_last == doctest::Approx(7));
    CHECK(*by_id[row + "heads-4"]->difference == doctest::Approx(66 - 67.01));
    CHECK_FALSE(by_id[row + "kd-svdf"]->difference);  // KD under the id of another method
}

TEST_SUITE_END();
