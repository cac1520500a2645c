// What follows from --epochs, and what of a recipe was given by hand.
#include "base_command_line.h"
#include "base_csv.h"
#include "base_files.h"
#include "base_texts.h"
#include "command.h"
#include "complaints.h"
#include "data_synth.h"
#include "net_name.h"
#include "train_recipes.h"
#include "train_run_folder.h"
#include "train_schedule.h"
#include "workplace.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

/// A subcommand's options as the words of a command line leave them.
struct Line {
    CommandLine line;
    OptionTable table;
    Options options;
    int warmup = 20;
    Line(const std::string& words, const Options& defaults = {}) : options(defaults) {
        add_training_options(table, options, true);
        table.add("--kd-warmup", warmup, {0}, "").in_epochs();
        table.attach(line);
        line.run(split(words, ' '));
    }
    void preset(const char* recipe) { set_recipe(table, options, find_recipe(recipe), "", "--preset x"); }
    std::string steps() {
        scale_with_epochs(table, options);
        return options.lr_steps;
    }
};

std::string steps(const std::string& words, const Options& defaults = {}) { return Line(words, defaults).steps(); }

}  // namespace

TEST_CASE("schedule: milestones keep their part of the training unless given by hand") {
    CHECK(steps("") == "150,180,210");
    CHECK(steps("--epochs 480") == "300,360,420");
    CHECK(steps("--epochs 24") == "15,18,21");
    CHECK(steps("--epochs 50", options_of(find_recipe("mhgd"))) == "15,30,40");  // 30, 60, 80 %
    CHECK(steps("--epochs 30", options_of(find_recipe("feed"))) == "15,23");     // a half, three quarters
    CHECK(steps("--epochs 16", options_of(find_recipe("ktg"))) == "5,10,14");    // 59, 119, 179 of 200
    CHECK(steps("--epochs 50 --lr-steps 30,60,80", options_of(find_recipe("mhgd"))) == "30,60,80");
    CHECK(steps("--epochs 3") == "2");  // 1.875, 2.25 and 2.625: two together, one behind the end
    CHECK(steps("--epochs 1") == "");
    Options constant;
    constant.lr_steps = "";
    CHECK(steps("--epochs 10", constant) == "");

    Line warm("--epochs 60");
    warm.steps();
    CHECK(warm.warmup == 5);  // 20 of 240
    Line hardly("--epochs 2"), once("--epochs 1"), none("--epochs 60 --kd-warmup 0"), own("--epochs 60 --kd-warmup 20");
    for (Line* line : {&hardly, &once, &none, &own}) line->steps();
    CHECK(hardly.warmup == 1);
    CHECK(once.warmup == 0);  // or the loss would never have any weight
    CHECK(none.warmup == 0);
    CHECK(own.warmup == 20);
}

TEST_CASE("schedule: of a preset, too, once however often, and never of a resumed run") {
    Line other("--epochs 50");
    other.preset("mhgd");
    CHECK(other.steps() == "15,30,40");
    CHECK(other.steps() == "15,30,40");
    CHECK(scale_with_epochs(other.table, other.options) ==
          "note: --epochs 50 instead of 100: scaled --lr-steps 30,60,80 to 15,30,40, "
          "--kd-warmup 20 to 10; give them by hand to have others\n");
    Line whole("");
    whole.preset("mhgd");
    CHECK(whole.options.epochs == 100);
    CHECK(whole.steps() == "30,60,80");
    CHECK(scale_with_epochs(whole.table, whole.options).empty());
    for (const char* words : {"", "--epochs 50"}) {  // resumed: config.csv has both
        Line resumed(words);
        resumed.table.set("epochs", "50", "config.csv");
        resumed.table.set("lr-steps", "15,30,40", "config.csv");
        resumed.table.set("kd-warmup", "20", "config.csv");
        CHECK(resumed.steps() == "15,30,40");
        CHECK(resumed.warmup == 20);
    }
}

TEST_CASE("schedule: what was given by hand beside preset and defaults") {
    const auto told = [](const std::string& words) {
        Line line(words);
        line.preset("mhgd");
        scale_with_epochs(line.table, line.options);
        return told_by_hand(line.table, line.options);
    };
    CHECK(told("") == "");
    CHECK(told("--seed 3 --device cpu --threads 1 --run x --id y --dataset z --student resnet8 --max-steps 2") == "");
    CHECK(told("--epochs 100 --lr 0.1") == "");  // as the preset has it
    CHECK(told("--epochs 50") == "epochs=50 (100); lr-steps=15,30,40 (30,60,80); kd-warmup=10 (20)");
    CHECK(told("--lr 0.001 --augment none --init f") == "init=f (–); lr=0.001 (0.1); augment=none (crop-flip)");

    CHECK(told_when_longer("", 100, 300) == "epochs=300 (100)");
    CHECK(told_when_longer("lr=1 (0.1)", 100, 300) == "epochs=300 (100); lr=1 (0.1)");
    CHECK(told_when_longer("epochs=50 (100); lr-steps=15,30,40 (30,60,80); init-epochs=1 (40)", 50, 70) ==
          "epochs=70 (100); lr-steps=15,30,40 (30,60,80); init-epochs=1 (40)");
    CHECK(told_when_longer("init=f (–); epochs=50 (100)", 50, 100) == "init=f (–)");
    CHECK(told_when_longer("epochs=50 (100)", 50, 50) == "epochs=50 (100)");
    CHECK(told_when_longer("not on file", 50, 70) == "not on file");
}

TEST_CASE("command line: schedules scale with a line that says so, late milestones are named, resumed runs keep theirs") {
    const Workplace folder(64);
    const auto option = [&](const std::string& run, const std::string& name) {
        return value_of(read_config(folder.path() / run / "config.csv"), name);
    };
    const std::string line = "train --dataset s --net resnet8 --batch 32 --max-steps 1 --threads 1 --quiet ";
    const Ended scaled = run(folder, line + "--epochs 24 --run r --runs 2");
    CAPTURE(scaled.err);
    REQUIRE(scaled.code == 0);
    CHECK(says(scaled.out,
               {"note: --epochs 24 instead of 240: scaled --lr-steps 150,180,210 to 15,18,21; give them by hand to have others\n"}));
    CHECK(option("r/s0", "lr-steps") == "15,18,21");
    CHECK(option("r/s0", "info.by_hand") == "epochs=24 (240); batch=32 (128); lr-steps=15,18,21 (150,180,210)");
    CHECK(option("r/s0", "info.train_images") == "64");
    CHECK(option("r/s0", "info.test_images") == "40");
    fs::remove_all(folder / "r/s1");
    const Ended resumed = run(folder, line + "--resume --run r --runs 2");
    CHECK(resumed.code == 0);
    CHECK(resumed.out.find("note: --epochs") == std::string::npos);
    CHECK(option("r/s1", "lr-steps") == "15,18,21");
    CHECK(option("r/s1", "info.by_hand") == option("r/s0", "info.by_hand"));

    const Ended late = run(folder, line + "--epochs 2 --lr-steps 1,2,9 --run late");
    CHECK(says(late.out, {"note: --lr-steps 1,2,9: nothing happens at 2, 9; the last epoch is 1 (epochs count from 0 here)\n"}));
    CHECK(option("late", "lr-steps") == "1,2,9");
}

TEST_CASE("recipes: three networks train at the lower rate of the benchmark and of ReviewKD, unless told otherwise") {
    for (const char* network : {"MobileNetV2", "ShuffleV1", "ShuffleV2"}) {
        CHECK(rate_of(find_recipe("crd"), network) == 0.01);
        CHECK(rate_of(find_recipe("kd"), network) == 0.01);
        CHECK(rate_of(find_recipe("reviewkd"), network) == 0.02);
        CHECK(rate_of(find_recipe("feed"), network) == 0.1);
    }
    for (const char* network : {"", "resnet8", "vgg8", "ResNet50", "mobilenet-mhgd"}) CHECK(rate_of(find_recipe("crd"), network) == 0.05);
    Line by_hand("--student ShuffleV2 --lr 0.3"), told("--student ShuffleV2"), usual("--student resnet8");
    for (Line* line : {&by_hand, &told, &usual}) line->preset("crd");
    CHECK(by_hand.options.lr == 0.3);
    CHECK(told_by_hand(by_hand.table, by_hand.options) == "lr=0.3 (0.01)");
    CHECK(told.options.lr == 0.01);
    CHECK(usual.options.lr == 0.05);
}

TEST_CASE("recipes: the student's rate stands in the configuration, by default, by --recipe and by a preset; an alias is its network") {
    const TempFolder folder;
    synthesize(folder / "data", {"s", 3, 16, 12, 6});
    put_file(folder / "data/paper/p.csv",
             "id,table,dataset,teacher,student,method,command,options,metric,value,std,source\n"
             "kd,T,s,vgg8,shufflenetv1,kd,kd,recipe=crd,top1,,,x\n"
             "t,T,s,vgg8,ShuffleV1,teacher,train,recipe=crd student=vgg8,top1,,,x\n");
    const std::string quick = " --dataset s --epochs 1 --max-steps 1 --batch 4 --threads 1 --quiet ";
    const auto config_after = [&](const std::string& words, const std::string& name) {
        const Ended end = run(folder, words + quick + "--run " + name);
        INFO(words, ": ", end.err);
        REQUIRE(end.code == 0);
        std::map<std::string, std::string> config;
        for (const auto& [option, value] : read_config(folder / name / "config.csv"))
            if (option != "info.run") config[option] = value;
        CHECK(end.out.find("lr               " + config["lr"] + "\n") != std::string::npos);
        return config;
    };
    const auto named = config_after("train --net ShuffleV1", "named"), alias = config_after("train --net shufflenetv1", "alias");
    CHECK(named.at("lr") == "0.02");
    CHECK(alias == named);
    CHECK(read_file(folder / "alias/student.safetensors") == read_file(folder / "named/student.safetensors"));
    CHECK(read_csv(folder / "alias/result.csv").cell(0, "student") == "ShuffleV1");
    CHECK(config_after("train --net shufflenetv1 --recipe crd", "crd").at("lr") == "0.01");
    CHECK(config_after("train --net ShuffleV1 --recipe crd --lr 0.3", "hand").at("lr") == "0.3");
    CHECK(config_after("train --preset t", "t").at("lr") == "0.05");  // the teacher's, not of the row's student
    const std::string taught = " --teacher-weights t/student.safetensors";
    const auto kd = config_after("kd --preset kd" + taught, "kd");
    CHECK(kd.at("lr") == "0.01");
    CHECK(kd.at("student") == "ShuffleV1");
    CHECK(kd.at("info.by_hand").find("lr=") == std::string::npos);
    // Teachers that are trained first have their own.
    const auto ensemble =
        config_after("ensemble --student shufflenetv1 --recipe crd --train-teachers 1 --teacher-nets vgg8 --teachers-run many", "several");
    CHECK(ensemble.at("lr") == "0.01");
    for (const auto& [option, value] : read_config(folder / "many/s0/config.csv"))
        if (option == "lr") CHECK(value == "0.05");

    const Ended evaluated = run(folder, "eval --net shufflenetv1 --init alias/student.safetensors --dataset s --threads 1");
    CHECK(evaluated.out.find("ShuffleV1 on s: test accuracy") == 0);
    CHECK(run(folder, "info --net mobilenetv2").out.find("MobileNetV2, 100 classes") == 0);
    CHECK(run(folder, "train --net shufflenetv1 --resume --run alias").out.find("alias: finished before, skipped") != std::string::npos);
}

TEST_CASE("names: aliases in lists become names, and nothing else changes") {
    CHECK(without_aliases("mobilenetv2") == "MobileNetV2");
    CHECK(without_aliases("wrn_40_2") == "wrn-40-2");
    CHECK(without_aliases("0=wrn_16_2,1=wrn_22_4-tiny") == "0=wrn-16-2,1=wrn-22-4-tiny");
    CHECK(without_aliases("0=resnet20,1=shufflenetv2,2=mobilenetv2") == "0=resnet20,1=ShuffleV2,2=MobileNetV2");
    CHECK(without_aliases("shufflenetv1+shufflenetv1") == "ShuffleV1+ShuffleV1");
    for (const char* same : {"", ",", "resnet20,,wrn-16-2", "mobilenetv2x", "mobilenetv2-tiny", "ShuffleV1", "1="})
        CHECK(without_aliases(same) == same);
}

TEST_SUITE_END();
