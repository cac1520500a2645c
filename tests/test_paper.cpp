#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>

#include "base_error.h"
#include "base_project.h"
#include "complaints.h"
#include "paper.h"
#include "testing.h"

namespace fs = std::filesystem;
using namespace distill;
using testing::complaint;
using testing::holds;

TEST_SUITE_BEGIN("no kernels");

namespace {

void put(const fs::path& file, const std::string& bytes) { std::ofstream(file) << bytes; }

const std::string header = "id,table,dataset,teacher,student,method,command,options,metric,value,std,source\n";

}  // namespace

TEST_CASE("paper: rows of all files, an unknown value stays empty") {
    const testing::TempFolder folder;
    put(folder / "b.csv", header + "b-1,T,cifar10,,net,student,train,recipe=ktg-alone normalize=none,top1,90.5,0.25,\"a, b\"\n");
    put(folder / "a.csv", header + "a-1,T,cifar100,big,small,kd,,,top1_best,,,bench\n");
    put(folder / "notes.txt", "not a table");
    const auto rows = load_paper(folder.path());
    REQUIRE(rows.size() == 2);
    CHECK(rows[0].id == "a-1");
    CHECK_FALSE(rows[0].value);
    CHECK_FALSE(rows[0].std);
    CHECK(rows[0].metric == "top1_best");
    CHECK(*rows[1].value == 90.5);
    CHECK(*rows[1].std == 0.25);
    CHECK(rows[1].source == "a, b");
    CHECK(rows[0].command.empty());
    CHECK(rows[0].options.empty());
    CHECK(rows[1].command == "train");
    REQUIRE(rows[1].options.size() == 2);
    CHECK(rows[1].options[0] == std::pair<std::string, std::string>("recipe", "ktg-alone"));
    CHECK(rows[1].options[1] == std::pair<std::string, std::string>("normalize", "none"));
    CHECK(rows[1].file == "b");
}

TEST_CASE("paper: broken files are named with the place") {
    const testing::TempFolder folder;
    CHECK(holds(complaint([&] { load_paper(folder.path()); }), "no .csv"));
    CHECK(holds(complaint([&] { load_paper(folder / "gone"); }), "gone: is no folder"));
    put(folder / "a.csv", "id,table,colour\nx,T,red\n");
    CHECK(holds(complaint([&] { load_paper(folder.path()); }), "a.csv: found the columns id, table, colour; expected id, table, dataset"));
    for (const std::string metric : {"top5", "Top1", "top1 best", ""}) {
        put(folder / "a.csv", header + "w,T,d,t,s,kd,,,top1_best,1,,src\nx,T,d,t,s,kd,,," + metric + ",1,,src\n");
        const std::string found = "a.csv: row 2, column 'metric': found '" + metric + "', expected top1 ";
        CHECK(holds(complaint([&] { load_paper(folder.path()); }), found));
    }
    put(folder / "a.csv", header + "x,T,d,t,s,kd,,,top1,high,,src\n");
    CHECK(holds(complaint([&] { load_paper(folder.path()); }), "row 1, column 'value': found 'high'"));
    for (const char* options : {"heads", "=4", "heads=", "heads=4  no-abf=on"}) {
        put(folder / "a.csv", header + "x,T,d,t,s,kd,kd," + options + ",top1,1,,src\n");
        CHECK(holds(complaint([&] { load_paper(folder.path()); }), "row 1, column 'options': found '"));
    }
    put(folder / "a.csv", header + "x,T,d,t,s,kd,,,top1,1,,src\n");
    put(folder / "b.csv", header + "y,T,d,t,s,kd,,,top1,1,,src\nx,T,d,t,s,kd,,,top1,2,,src\n");
    const std::string twice = complaint([&] { load_paper(folder.path()); });
    CHECK(holds(twice, "b.csv: row 2: the id 'x' is there already"));
    CHECK(holds(twice, "a.csv"));
    put(folder / "b.csv", header + ",T,d,t,s,kd,,,top1,1,,src\n");
    CHECK(holds(complaint([&] { load_paper(folder.path()); }), "row 1 has no id"));
}

TEST_CASE("paper: an unknown id lists the nearest, a known one is found with its student alone") {
    const testing::TempFolder folder;
    std::string rows_text = header;
    for (const char* method : {"student", "kd", "reviewkd", "teacher"})
        rows_text += std::string("p-t-s-") + method + ",T,cifar100,t,s," + method + ",,,top1,70,,src\n";
    rows_text += "elsewhere,T,cifar100,t,z,student,,,top1,71,,src\nfar-away-1,T,d,t,s,kd,,,top1,1,,\nfar-away-2,T,d,t,s,kd,,,top1,1,,\n";
    put(folder / "p.csv", rows_text);
    const auto rows = load_paper(folder.path());
    const std::string message = complaint([&] { find_paper_row(rows, "p-t-s-revewkd"); });
    CHECK(holds(message, "unknown experiment id 'p-t-s-revewkd'; the nearest of 7 in " + folder.path().string() + " (p): p-t-s-review"));
    CHECK(holds(complaint([] { find_paper_row({}, "p-t-s-kd"); }), "unknown experiment id 'p-t-s-kd': "));
    CHECK_FALSE(holds(message, "far-away-2"));
    const PaperRow& row = find_paper_row(rows, "p-t-s-kd");
    CHECK(row.method == "kd");
    REQUIRE(student_alone(rows, row));
    CHECK(student_alone(rows, row)->id == "p-t-s-student");
    CHECK_FALSE(student_alone(rows, find_paper_row(rows, "far-away-1")));
}

TEST_CASE("paper: the folder asked for comes before data/paper here and beside the program") {
    const testing::TempFolder folder;
    const fs::path before = fs::current_path();
    fs::create_directories(folder / "data/paper");
    fs::current_path(folder.path());
    CHECK(paper_folder() == "data/paper");
    CHECK(paper_folder("mine") == "mine");
    fs::create_directories(folder / "data/else");
    CHECK(project_data("else", "others", "") == "data/else");
    fs::current_path(before);
}

TEST_CASE("paper: who looks for a folder of the project in vain is told what for, where it was looked for, and what to do") {
    CHECK(complaint([] { project_data("nowhere", "the wanted", ", or ask for less"); }) ==
          "the wanted: found data/nowhere neither in the current folder nor in the program's project; go to the project's folder, "
          "or ask for less");
}

TEST_CASE("paper: a student alone is of the row's own paper") {
    const testing::TempFolder folder;
    put(folder / "a.csv", header + "a-student,T,cifar100,t,s,student,,,top1,70,,src\na-kd,T,cifar100,t,s,kd,,,top1,71,,src\n");
    put(folder / "b.csv", header + "b-student,T,cifar100,t,s,student,,,top1,60,,src\nb-kd,T,cifar100,t,s,kd,,,top1,62,,src\n");
    const auto rows = load_paper(folder.path());
    CHECK(student_alone(rows, find_paper_row(rows, "a-kd"))->id == "a-student");
    CHECK(student_alone(rows, find_paper_row(rows, "b-kd"))->id == "b-student");
}

TEST_CASE("paper: a student alone is of the row's own table and metric, of a reproduction that of who reproduced, else the first") {
    const testing::TempFolder folder;
    const std::string pair = ",cifar100,t,s,", last = ",,,top1,70,,src\n", best = ",,,top1_best,70,,src\n";
    put(folder / "a.csv", header + "a-student,T" + pair + "student" + last + "a-student-too,U" + pair + "student" + last + "a-stages,U" +
                              pair + "reviewkd-2-2" + last + "a-kd-again,V" + pair + "kd-reproduction-best" + best + "a-student-again,V" +
                              pair + "student-reproduction-best" + best + "a-kd-alone,W" + pair + "kd-reproduction" + last);
    const auto rows = load_paper(folder.path());
    CHECK(student_alone(rows, find_paper_row(rows, "a-stages"))->id == "a-student-too");
    CHECK(student_alone(rows, find_paper_row(rows, "a-kd-again"))->id == "a-student-again");
    CHECK(student_alone(rows, find_paper_row(rows, "a-kd-alone"))->id == "a-student");
}

TEST_CASE("paper: the benchmark's tables and ReviewKD's say the same of one training, and what is not trained is named") {
    const auto rows = load_paper(paper_folder());
    const std::set<std::string> untrained = {"ofd", "kd-dot", "fsp"};
    std::map<std::string, const PaperRow*> of_crd;
    for (const PaperRow& row : rows)
        if (row.file == "crd" && row.metric == "top1" && !row.command.empty() && row.table.find("CRD benchmark") != std::string::npos)
            of_crd.emplace(row.training(), &row);
    size_t shared = 0;
    for (const PaperRow& row : rows) {
        INFO(row.id);
        if (row.file != "crd" && row.file != "reviewkd") continue;
        if (row.dataset == "cifar100" && row.command.empty()) CHECK(untrained.count(row.method) == 1);
        for (const auto& [name, value] : row.options) CHECK(name != "lr");  // which follows from the student
        if (row.method == "dkd") CHECK(row.metric == "top1_best");
        const auto same = of_crd.find(row.training());
        if (row.file != "reviewkd" || row.id.find("stages") != std::string::npos || same == of_crd.end()) continue;
        CHECK(row.value == same->second->value);
        ++shared;
    }
    CHECK(shared == 6 * 11 + 5 * 11);  // all pairs but the benchmark's two more, by all methods but OFD and ReviewKD
    CHECK(*find_paper_row(rows, "reviewkd-c100-vgg13-vgg8-reviewkd").value == 74.84);
    CHECK(*find_paper_row(rows, "reviewkd-c100-resnet56-resnet20-stage-4-to-3").value == 50.4);
    const auto& reproduced = find_paper_row(rows, "reviewkd-c100-resnet56-resnet20-reviewkd-reproduction").options;
    CHECK(std::count(reproduced.begin(), reproduced.end(), std::pair<std::string, std::string>{"kd-weight", "0.7"}) == 1);
    CHECK(*find_paper_row(rows, "crd-c100-resnet32x4-resnet8x4-crd").std == 0.18);
    CHECK(*find_paper_row(rows, "crd-c100-resnet32x4-shufflenetv2-dkd").value == 77.07);
    CHECK_FALSE(find_paper_row(rows, "crd-c100-wrn-40-2-wrn-40-1-fsp").value);
}

TEST_CASE("paper: HKD's table is whole; X+KD is the method with KD at weight 1, and what is not built is on file alone") {
    const auto rows = load_paper(paper_folder());
    size_t count = 0;
    for (const PaperRow& row : rows) {
        if (row.file != "hkd") continue;
        ++count;
        INFO(row.id);
        CHECK(row.value.has_value());
        CHECK(row.std.has_value() == (row.method != "teacher"));
        CHECK(row.command.empty() == (row.method == "sskd-kd"));
        const bool with_kd = row.method.size() > 3 && row.method.substr(row.method.size() - 3) == "-kd";
        std::map<std::string, std::string> told(row.options.begin(), row.options.end());
        if (!row.command.empty()) CHECK(told["recipe"] == "crd");
        CHECK((told["alpha"] == "1") == (with_kd && !row.command.empty()));
    }
    CHECK(count == 12 * 5);
    CHECK(*find_paper_row(rows, "hkd-c100-resnet32x4-resnet8x4-hkd-kd").value == 76.13);
    CHECK(*find_paper_row(rows, "hkd-c100-resnet50-mobilenetv2-hkd").std == 0.15);
    const PaperRow& row = find_paper_row(rows, "hkd-c100-resnet32x4-resnet8x4-crd-kd");
    CHECK(row.training() == find_paper_row(rows, "crd-c100-resnet32x4-resnet8x4-crd-kd").training());  // trained once for both tables
    REQUIRE(student_alone(rows, row));
    CHECK(*student_alone(rows, row)->value == 72.79);
}

TEST_SUITE_END();
