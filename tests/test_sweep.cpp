// --sweep: a training for each value of an option, as one by hand would be, their table and picture.
#include "base_csv.h"
#include "base_files.h"
#include "command.h"
#include "complaints.h"
#include "data_synth.h"
#include "run_sweep.h"
#include "train_run_folder.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

struct Workplace : TempFolder {
    Workplace() {
        synthesize(path() / "data", {"s", 3, 16, 48, 24});
        REQUIRE(run(*this, "train --net resnet8 --run t" + small).code == 0);
    }
    const std::string small = " --dataset s --epochs 1 --batch 16 --threads 1 --quiet ";
    const std::string kd = "kd --teacher resnet8 --teacher-weights t/student.safetensors --student resnet8 " + small;
};

}  // namespace

TEST_CASE("sweep: each value is the training that it is by hand; table, picture, and going on") {
    const Workplace folder;
    const Ended end = run(folder, folder.kd + "--runs 2 --sweep temperature=1,4.5 --run k");
    CAPTURE(end.err);
    REQUIRE(end.code == 0);
    const CsvTable table = read_csv(folder / "k/temperature.csv");
    CHECK(table.columns == std::vector<std::string>{"temperature", "n", "last", "last_std", "best", "best_std"});
    REQUIRE(table.rows.size() == 2);
    CHECK(table.cell(1, "temperature") == "4.5");
    CHECK(table.cell(1, "n") == "2");
    CHECK(read_file(folder / "k/temperature.svg").find("--temperature") != std::string::npos);

    REQUIRE(run(folder, folder.kd + "--temperature 4.5 --seed 1 --run hand").code == 0);
    CHECK(read_file(folder / "k/temperature4.5/s1/student.safetensors") == read_file(folder / "hand/student.safetensors"));
    CHECK(value_of(read_config(folder / "k/temperature4.5/s1/config.csv"), "info.by_hand") ==
          value_of(read_config(folder / "hand/config.csv"), "info.by_hand"));
    CHECK(value_of(read_config(folder / "k/temperature1/s0/config.csv"), "temperature") == "1");

    const std::string before = read_file(folder / "k/temperature.csv");
    fs::remove_all(folder / "k/temperature1/s1");
    fs::remove(folder / "k/temperature.csv");
    check_rejected(folder, folder.kd + "--runs 2 --sweep temperature=1,4.5 --run k", {"k: this run folder exists", "--resume"});
    const Ended again = run(folder, folder.kd + "--runs 2 --sweep temperature=1,4.5 --run k --auto-resume");
    CHECK(again.code == 0);
    CHECK(says(again.out, {"temperature1/s0: finished before", "temperature4.5/s1: finished before"}));
    CHECK(read_file(folder / "k/temperature.csv") == before);

    // Its values are of one length.
    REQUIRE(run(folder, "kd --resume --epochs 2 --quiet --run k/temperature1").code == 0);
    check_rejected(folder, folder.kd.substr(0, folder.kd.find("--epochs")) + "--runs 2 --sweep temperature=1,4.5 --resume --run k",
                   {"k: its runs are of one length, not 1 epochs in temperature4.5/s0 and 2 in temperature1/s0", "--resume --epochs 2"});
    const std::string methods =
        "kd --teacher resnet8 --teacher-weights t/student.safetensors --student resnet8 --dataset s --threads 1 --quiet "
        "--batch 16 --max-steps 1 --sweep method=kd,ban --run m";  // whose recipes are not of one length
    REQUIRE(run(folder, methods).code == 0);
    CHECK(run(folder, methods + " --resume").code == 0);
    check_rejected(folder, folder.kd + "--sweep temperature=1,4.5 --resume --run tpyo", {"tpyo: no run to resume here"});

    // Its folder has no options of its own to go on with.
    for (const std::string& line : {std::string("kd --resume"), std::string("kd --auto-resume"), folder.kd})
        check_rejected(folder, line + " --run k",
                       {"k: is the folder of a sweep over --temperature (begun are 1, 4.5)", "--sweep temperature=… again", "--resume"});
    put_file(folder / "mine/teacher/config.csv", "option,value\nmethod,train\n");
    check_rejected(folder, "kd --resume --run mine", {"mine: no run to resume here", "name a run's folder with --run"});
    put_file(folder / "named/epochs1/config.csv", "option,value\nmethod,train\nepochs,1\n");  // a run that somebody called so
    put_file(folder / "named/lr0.1/config.csv", "opt");
    CHECK(run(folder, folder.kd + "--runs 2 --run named").code == 0);
}

TEST_CASE("sweep: of a method's own options, of networks, of values with commas") {
    const Workplace folder;
    REQUIRE(run(folder, "ft --teacher resnet8 --teacher-weights t/student.safetensors --student resnet8 --paraphraser-epochs 1 " +
                            folder.small + "--sweep paraphraser-rate=0.5,1 --run ft")
                .code == 0);
    CHECK(value_of(read_config(folder / "ft/paraphraser-rate1/config.csv"), "paraphraser-rate") == "1");
    REQUIRE(run(folder, "train" + folder.small + "--sweep net=resnet8,resnet14 --run nets").code == 0);
    CHECK(read_csv(folder / "nets/studentresnet14/result.csv").cell(0, "student") == "resnet14");
    REQUIRE(run(folder, "train --net resnet8 --dataset s --epochs 3 --max-steps 2 --batch 16 --quiet --sweep lr-steps=1,2;2 --run steps")
                .code == 0);
    CHECK(value_of(read_config(folder / "steps/lr-steps1,2/config.csv"), "lr-steps") == "1,2");
    CHECK(read_csv(folder / "steps/lr-steps.csv").cell(0, "lr-steps") == "1,2");
    // Teachers that are trained first are the same for all values.
    const Ended taught = run(folder,
                             "ensemble --student resnet8 --train-teachers 1 --teacher-nets resnet8 --dataset s --epochs 1 --batch 16 "
                             "--quiet --sweep lr=0.1,0.2 --run e");
    CAPTURE(taught.err);
    CHECK(taught.code == 0);
}

TEST_CASE("sweep: what cannot be swept over is said before anything is trained") {
    const Workplace folder;
    const auto refused = [&](const std::string& sweep, const std::vector<std::string>& says) {
        check_rejected(folder, folder.kd + "--run x --sweep " + sweep, says);
    };
    refused("temperature", {"--sweep temperature: expected OPTION=VALUE"});
    refused("heads=1,2", {"--heads is no option of this subcommand"});
    refused("temperature=4", {"two values or more"});
    refused("temperature=4,4", {"a value twice"});
    refused("temperature=4,hot", {"--sweep temperature=4,hot: option 'temperature': found 'hot'", "expected a number above 0"});
    refused("student=resnet8,resnet9", {"resnet9"});
    refused("lr-steps=1;x", {"--lr-steps: found 'x'"});
    refused("init=a/b,a_b", {"two whose folders have one name"});
    refused("seed=1,2", {"--runs"});
    refused("run=a,b", {"--run says nothing of what is trained"});
    refused("temperature=1,2 --save f.safetensors", {"--save f.safetensors", "2 trainings"});
}

TEST_CASE("sweep: a value that cannot be trained with is said before those before it are trained") {
    const Workplace folder;
    REQUIRE(run(folder, "train --net resnet8 --lr 0 --run untrained" + folder.small).code == 0);
    const auto refused = [&](const std::string& line, const std::vector<std::string>& says) {
        check_rejected(folder, line + " --run x", says);
    };
    const std::string train = "train --net resnet8" + folder.small + "--sweep ";
    refused(train + "batch=16,200", {"--batch 200", "48 records"});
    refused(train + "val=8,48", {"--val: found 48"});
    refused(train + "per-class=8,48", {"--per-class: found 48"});
    refused(train + "dataset=s,gone", {"no data set 'gone'"});
    refused(train + "normalize=auto,1", {"--normalize: found '1'"});
    refused(train + "init=t/student.safetensors,gone.safetensors", {"gone.safetensors"});
    refused(train + "net=resnet8,vgg7-mhgd", {"vgg7-mhgd: the images are 16x16"});
    const std::string kd = folder.kd + "--sweep ";
    refused(kd + "teacher=resnet8,resnet14", {"t/student.safetensors", "says resnet8, expected resnet14"});
    refused(kd + "teacher-weights=t/student.safetensors,gone.safetensors", {"gone.safetensors"});
    refused(kd + "teacher-min=0,100 --teacher-weights untrained/student.safetensors", {"untrained/student.safetensors", "--teacher-min"});
    // Teachers that are to be trained first are not, either.
    const std::string ensemble = "ensemble --student resnet8 --train-teachers 1 --teacher-nets resnet8" + folder.small + "--sweep ";
    refused(ensemble + "batch=16,200", {"--batch 200", "48 records"});
    refused(ensemble + "init=t/student.safetensors,gone.safetensors", {"gone.safetensors"});
}

TEST_CASE("sweep: the check of all values says nothing, and leaves the threads of each as they are by hand") {
    const Workplace folder;
    const Ended end = run(folder, folder.kd + "--teacher-min 1 --sweep temperature=1,2 --run k");
    CAPTURE(end.err);
    REQUIRE(end.code == 0);
    const std::string line = "teacher resnet8: test accuracy";
    const size_t first = end.out.find(line), second = end.out.find(line, first + 1);
    CHECK(end.out.find("temperature 1\n") < first);
    CHECK(first < end.out.find("temperature 2\n"));
    CHECK(end.out.find("temperature 2\n") < second);
    CHECK(end.out.find(line, second + 1) == std::string::npos);
    const std::string again = run(folder, folder.kd + "--teacher-min 1 --sweep temperature=1,2 --run k --auto-resume").out;
    CHECK(says(again, {"temperature2: finished before"}));
    CHECK(again.find("temperature2: finished before") == again.rfind("temperature2: finished before"));
    const std::string graph = run(folder, "ktg train --graph plain --models 0=resnet8" + folder.small + "--sweep lr=0.1,0.2 --run g").out;
    CHECK(says(graph, {"lr 0.1\nnode  network", "lr 0.2\nnode  network"}));
    CHECK(graph.find("node  network") > graph.find("lr 0.1\n"));
    const std::string warned = run(folder, folder.kd + "--sweep normalize=auto,none --run n").out, warning = "warning: ";
    CHECK(warned.find(warning) > warned.find("normalize none\n"));
    CHECK(says(warned, {warning, "was trained with normalization"}));

    const std::string train = "train --net resnet8 --dataset s --epochs 1 --batch 16 --quiet --run ";
    REQUIRE(run(folder, train + "threads --sweep threads=1,0").code == 0);
    REQUIRE(run(folder, train + "hand").code == 0);
    CHECK(value_of(read_config(folder / "threads/threads0/config.csv"), "threads") ==
          value_of(read_config(folder / "hand/config.csv"), "threads"));
}

TEST_CASE("sweep: the picture has every value, one seed or several") {
    const std::string svg = sweep_svg("beta", {{"1", {50}, {51}}, {"<2>", {52, 54}, {55, 55}}});
    CHECK(says(svg, {"--beta", "&lt;2&gt;", "53.00", "50.00"}));
    CHECK(svg.find("nan") == std::string::npos);
}

TEST_SUITE_END();
