// The classes' order, the test part alone, and numbers for the wrong unit: what a weight file meets on the way to another data set.
#include "data_class_order.h"

#include <cmath>
#include <limits>

#include "base_csv.h"
#include "base_files.h"
#include "base_safetensors.h"
#include "command.h"
#include "complaints.h"
#include "data_synth.h"
#include "run_answers.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

constexpr const char* small = " --batch 20 --epochs 1 --threads 1 --quiet ";

/// Two classes of plain images: `light` and the other; sorted by name, so the other's name decides which is 0.
void import_shapes(const TempFolder& folder, const std::string& dark, const std::string& dataset) {
    fs::remove_all(folder / "from");
    for (const std::string part : {"train", "test"})
        for (int i = 0; i < 10; ++i) {
            const auto grey = [i](int base) { return "P5 8 8 255\n" + std::string(64, static_cast<char>(base + i)); };
            put_file(folder / "from" / part / "light" / text(i, ".pgm"), grey(200));
            put_file(folder / "from" / part / dark / text(i, ".pgm"), grey(20));
        }
    REQUIRE(run(folder, "data import images --from from --size 8 --quiet --force --dataset " + dataset).code == 0);
}

/// data/shapes with the classes dark, light; t.safetensors, trained on it.
struct Workplace : TempFolder {
    Workplace() {
        import_shapes(*this, "dark", "shapes");
        REQUIRE(run(*this, std::string("train --net resnet8 --dataset shapes --run t --save t.safetensors") + small).code == 0);
    }
    void import(const std::string& dark, const std::string& dataset) const { import_shapes(*this, dark, dataset); }
};

const std::string student = std::string(small) + "--student resnet8 --seed 7 ",
                  weights = "--teacher resnet8 --teacher-weights t.safetensors ";

const std::string difference =
    "t.safetensors was trained on other classes, or in another order: class 0 is dark there, light in data set shapes";

}  // namespace

TEST_CASE("class order: the names travel in the weight file, and the first that differs is named") {
    const Workplace folder;
    const auto metadata = read_safetensors(folder / "t.safetensors").metadata;
    CHECK(metadata.at("class_names") == R"(["dark","light"])");
    Dataset data;
    data.name = "d";
    CHECK_FALSE(compare_classes(metadata, data).known);
    data.class_names = {"dark", "light"};
    CHECK(compare_classes(metadata, data).known);
    CHECK(compare_classes(metadata, data).difference == "");
    data.class_names = {"dark", "shade"};
    CHECK(compare_classes(metadata, data).difference == "class 1 is light there, shade in data set d");
    data.class_names = {"dark", "light", "shade"};
    CHECK(compare_classes(metadata, data).difference == "2 classes there, 3 in data set d");
    CHECK_FALSE(compare_classes({{"class_names", "no JSON"}}, data).known);
    CHECK_FALSE(compare_classes({{"class_names", "[1,2,3]"}}, data).known);
    CHECK_FALSE(compare_classes({}, data).known);
}

TEST_CASE("class order: the same classes pass without a word, also under another name of the set") {
    const Workplace folder;
    folder.import("dark", "again");
    for (const std::string data : {"shapes", "again"}) {
        const Ended end = run(folder, "kd --dataset " + data + student + weights);
        CHECK(end.code == 0);
        CHECK(end.out.find("classes") == end.out.find("classes    "));  // the option alone
        CHECK((end.out.find("warning: t.safetensors was trained with dataset shapes") == std::string::npos) == (data == "shapes"));
    }
}

TEST_CASE("class order: another order is a warning, and stops what distils unless it is asked for") {
    const Workplace folder;
    folder.import("night", "shapes");  // light is class 0 now
    const std::string on = " --dataset shapes";
    CHECK(says(run(folder, "eval --net resnet8 --weights t.safetensors" + on).out, {"warning: " + difference}));
    CHECK(says(run(folder, "train --net resnet8 --init t.safetensors --run init" + on + small).out, {"warning: " + difference}));
    const std::vector<std::string> refusal = {
        "t.safetensors: was trained on other classes, or in another order: class 0 is dark there, light in", "--other-classes"};
    for (const std::string& line :
         {"kd" + on + student + weights, "kd --method ban" + on + student + weights, "reviewkd" + on + student + weights,
          "mhgd --mha-epochs 1" + on + student + weights, "feed parallel --teachers t.safetensors" + on + student,
          "feed sequential --teachers t.safetensors" + on + student,
          "kd --method ensemble --teachers t.safetensors,t.safetensors" + on + student,
          "ktg train --preset kd --models 0=resnet8,1=resnet8 --weights 1=t.safetensors" + on + small}) {
        check_rejected(folder, line, refusal);
    }
    const Ended asked = run(folder, "kd --other-classes" + on + student + weights + "--run asked");
    CHECK(asked.code == 0);
    CHECK(says(asked.out, {"warning: " + difference}));
    CHECK(run(folder, "kd --resume --run asked").code == 0);
}

TEST_CASE("class order: another data set whose classes are not on file stops what distils, too") {
    const Workplace folder;
    synthesize(folder / "data", {"other", 2, 8, 40, 10});
    fs::remove(folder / "data/other/classes.csv");
    const std::string line = "kd --dataset other" + student + weights;
    check_rejected(folder, line, {"t.safetensors: was trained on data set shapes, here is other", "not on file", "--other-classes"});
    const Ended asked = run(folder, line + "--other-classes");
    CHECK(asked.code == 0);
    CHECK(says(asked.out, {"was trained with dataset shapes, here it meets other"}));
}

TEST_CASE("class order: classes.csv must fit meta.csv; the official archives' lists are read where they are") {
    const TempFolder folder;
    synthesize(folder / "data", {"s", 3, 8, 30, 6});
    CHECK(load_dataset(folder / "data", "s").class_names == std::vector<std::string>{"texture0", "texture1", "texture2"});
    put_file(folder / "data/s/classes.csv", "label,name\n0,a\n1,b\n");
    CHECK(says(complaint([&] { load_dataset(folder / "data", "s"); }), {"classes.csv", "found 2 classes", "expected 3"}));
    put_file(folder / "data/s/classes.csv", "label,name\n0,a\n2,b\n1,c\n");
    CHECK(says(complaint([&] { load_dataset(folder / "data", "s"); }), {"classes.csv", "row 2", "found the label '2'", "expected 1"}));

    const std::string record = std::string(1, '\7') + std::string(3072, 'p');
    const fs::path official = folder / "data/cifar-10-batches-bin";
    put_file(official / "train.bin", record);
    put_file(official / "test.bin", record);
    CHECK(load_dataset(folder / "data", "cifar10").class_names.empty());
    put_file(official / "batches.meta.txt", "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n");
    CHECK(load_dataset(folder / "data", "cifar10").class_names.at(7) == "horse");
}

TEST_CASE("eval: needs no training part as large as a batch, and says top-5 and each class") {
    const TempFolder folder;
    synthesize(folder / "data", {"s", 7, 8, 64, 21});
    REQUIRE(run(folder, "train --net resnet8 --dataset s --batch 32 --epochs 1 --threads 1 --quiet --run t").code == 0);
    const Ended end = run(folder, "eval --net resnet8 --dataset s --weights t/student.safetensors --threads 1 --by-class");
    CAPTURE(end.out);
    REQUIRE(end.code == 0);
    CHECK(says(end.out, {" %, top-5 ", "(21 images", "label  name      images  accuracy   top-5", "    6  texture6       3 "}));
    const Ended little = run(folder, "eval --net resnet8 --dataset s --weights t/student.safetensors --threads 1 --batch 4");
    CHECK(little.out.substr(0, little.out.find(", loss")) == end.out.substr(0, end.out.find(", loss")));
    CHECK(little.out.find("texture") == std::string::npos);

    synthesize(folder / "data", {"five", 5, 8, 40, 10});
    REQUIRE(run(folder, "train --net resnet8 --dataset five --batch 32 --epochs 1 --threads 1 --quiet --run f").code == 0);
    CHECK(run(folder, "eval --net resnet8 --dataset five --weights f/student.safetensors --threads 1").out.find("top-5") ==
          std::string::npos);
}

TEST_CASE("answers: ranks by hand: equals by their order, NaN never right") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    Answers a(3);
    const float first[] = {3, 2, 1}, equal[] = {5, 5, 0}, broken[] = {nan, nan, nan}, half[] = {1, nan, 2};
    a.add(first, 0);   // best
    a.add(first, 2);   // third
    a.add(equal, 1);   // second: 0 comes first
    a.add(equal, 0);   // best
    a.add(broken, 1);  // none
    a.add(half, 2);    // second, behind the NaN
    CHECK(a.top(1) == doctest::Approx(100.0 * 2 / 6));
    CHECK(a.top(2) == doctest::Approx(100.0 * 4 / 6));
    CHECK(a.top(3) == doctest::Approx(100.0 * 5 / 6));
    CHECK(a.top(1, 0) == 100);
    CHECK(a.top(2, 1) == 50);
    CHECK(a.images(2) == 2);
    Answers none(2);
    none.add(first, 0);
    CHECK(rows_by_class(none, 2, {}) ==
          std::vector<std::vector<std::string>>{{"label", "name", "images", "accuracy"}, {"0", "", "1", "100.00"}, {"1", "", "0", "-"}});
}

TEST_CASE("normalize: six numbers of 1 are warned of, with what they are of 255") {
    const TempFolder folder;
    synthesize(folder / "data", {"s", 3, 8, 30, 6});
    const std::string train = "train --net resnet8 --dataset s --batch 20 --epochs 1 --threads 1 --quiet --run ";
    CHECK(says(run(folder, train + "r --normalize 0.5,0.4,0.2,0.2,0.2,1").out,
               {"warning: --normalize 0.5,0.4", "all six numbers are at most 1, but they are of 255; is 127.5,102,51,51,51,255 meant?"}));
    CHECK(says(run(folder, "eval --net resnet8 --dataset s --weights r/student.safetensors --normalize 0.5,0.4,0.2,0.2,0.2,1").out,
               {"warning: --normalize 0.5"}));
    for (const char* good : {"none", "auto", "0.5,0.4,0.2,0.2,0.2,1.1", "0,0,0,255,255,255"})
        CHECK(output_of(folder, train + good + " --normalize " + good).find("warning") == std::string::npos);
}

TEST_SUITE_END();
