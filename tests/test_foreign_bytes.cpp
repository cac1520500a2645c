// What fuzzing found (docs/fuzzing.md), mended, as small files: each ends in one line that names place, found and expected.
#include <string>

#include "base_csv.h"
#include "base_error.h"
#include "base_safetensors.h"
#include "command.h"
#include "complaints.h"
#include "data_image.h"
#include "data_jpeg_check.h"
#include "graph.h"
#include "report.h"
#include "report_collect.h"
#include "report_summary.h"
#include "search_history.h"
#include "search_space.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

const std::string paper_columns = "id,table,dataset,teacher,student,method,command,options,metric,value,std,source\n";

/// The report's complaint about a run with this config.csv and a graph of two nodes, of which this is edges.csv's only row.
std::string report_complaint(const std::string& option_row, const std::string& edge = "0,0,0,1,2.5,3,4,0,1") {
    const TempFolder folder;
    const fs::path run = folder / "run";
    put_file(run / "config.csv", "option,value\nmethod,ktg\ndataset,d\n" + option_row + "\n");
    put_file(run / "epochs.csv", "epoch,train_loss,test_acc\n0,2.5,40\n");
    put_file(run / "edges.csv", "epoch,target,source,weight,loss,both_right,source_only,target_only,none_right\n" + edge + "\n");
    put_file(run / "graph.csv", "node,model,weights,gate_0,gate_1\n0,resnet8,,through,linear\n1,resnet8,,through,cutoff\n");
    const std::vector<Run> runs = collect_runs({run});
    CHECK(summarize(runs, {}).faults.size() == (runs.front().fault.empty() ? 0 : 1));
    return runs.front().fault;
}

}  // namespace

TEST_CASE("foreign bytes: a number is all of a cell, also behind a byte of zero") {
    CHECK(parsed_number("-1.5e3") == -1500.0);
    CHECK(parsed_whole("-12") == -12);
    for (const std::string& no : {std::string(), std::string("1\0 2", 4), std::string("1 "), std::string("x")}) {
        CHECK_FALSE(parsed_number(no));
        CHECK_FALSE(parsed_whole(no));
    }
    CHECK_FALSE(parsed_whole("1.5"));
    CHECK_FALSE(parsed_whole("9223372036854775808"));

    const TempFolder folder;
    put_file(folder / "t.csv", "n\n3\n-1\n1e300\n");
    const CsvTable table = read_csv(folder / "t.csv");
    CHECK(table.cell_whole(0, "n") == 3);
    CHECK(says(complaint([&] { table.cell_whole(0, "n", 2); }),
               {"t.csv: row 1, column 'n': found '3', expected a whole number from 0 to 2"}));
    CHECK(says(complaint([&] { table.cell_whole(1, "n"); }), {"row 2", "found '-1', expected a whole number from 0"}));
    CHECK(says(complaint([&] { table.cell_whole(2, "n"); }), {"row 3", "found '1e300', expected a whole number from 0"}));
}

TEST_CASE("foreign bytes: no tensor takes the name of a weight file's metadata") {
    const TempFolder folder;
    const std::string header = R"({"module.__metadata__":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})";
    put_file(folder / "w.safetensors", std::string(1, static_cast<char>(header.size())) + std::string(7, '\0') + header);
    CHECK(says(complaint([&] { read_safetensors(folder / "w.safetensors"); }),
               {"w.safetensors: header, tensor \"module.__metadata__\": its name is the header's own"}));
}

TEST_CASE("foreign bytes: search.csv's counts are whole numbers, a graph has seven nodes at most") {
    const TempFolder folder;
    put_file(folder / "journal.csv", "trial,event,epoch,error,detail\n,study,,,target=resnet8\n");
    const auto message = [&](const std::string& row) {
        put_file(folder / "search.csv", "id,trial,search_error,test_mean,test_std,n,graph\n" + row + "\n");
        const SearchHistory history = read_search(folder.path());
        CHECK(history.results.size() == (history.faults.empty() ? 1 : 0));
        return history.faults.empty() ? "" : history.faults.begin()->second;
    };
    CHECK(message("plain,,,55,,1,resnet8 | through") == "");
    CHECK(says(message("plain,1e300,,55,,1,resnet8 | through"),
               {"search.csv: row 1, column 'trial': found '1e300', expected a whole number"}));
    CHECK(says(message("plain,,,55,,nan,resnet8 | through"), {"search.csv: row 1, column 'n': found 'nan', expected a whole number"}));

    std::string eight, row = " |";
    for (int i = 0; i < 8; ++i) eight += "resnet8 ", row += " cutoff";
    for (int i = 0; i < 8; ++i) eight += row;
    CHECK(says(complaint([&] { parse_graph_line(eight, "journal.csv: row 2"); }), {"journal.csv: row 2", "of at most 7 nodes"}));
}

TEST_CASE("foreign bytes: what a run's config.csv and edges.csv say of a graph is checked") {
    CHECK(report_complaint("info.node1_accuracy,61.5") == "");
    CHECK(
        says(report_complaint("info.node1_accuracy,high"), {"config.csv: option 'info.node1_accuracy': found 'high', expected a number"}));
    CHECK(says(report_complaint("info.stage,last"), {"config.csv: option 'info.stage': found 'last', expected a whole number"}));
    CHECK(says(report_complaint("info.stage,2000000"), {"'info.stage': found '2000000', expected a whole number from 1 to 1000000"}));
    CHECK(says(report_complaint("seed,0", "0,1e30,0,1,2.5,3,4,0,1"),
               {"edges.csv: row 1, column 'target': found '1e30', expected a whole number from 0 to 1"}));
    CHECK(says(report_complaint("seed,0", "0,0,2,1,2.5,3,4,0,1"), {"edges.csv: row 1, column 'source': found '2'"}));
}

TEST_CASE("foreign bytes: a graph's file of weights that can be none") {
    const TempFolder folder;
    put_file(folder / "g.csv", "node,model,weights,gate_0\n0,resnet8," + std::string(300, 'x') + ",through\n");
    CHECK(says(complaint([&] { read_graph(folder / "g.csv"); }),
               {"g.csv: row 1, column 'weights': found '", "which is no file's path (File name too long)"}));
}

TEST_CASE("foreign bytes: a preset's row that its subcommand cannot use") {
    const TempFolder folder;
    put_file(folder / "data/paper/p.csv",
             paper_columns +
                 "ktg-a,t,d,resnet14,resnet8,x,y,,top1,,,s\nb,t,d,,resnet8,kd,kd,recipe=x,top1,,,s\n"
                 "c,t,d,resnet14,resnet8,reviewkd,reviewkd,colour=red,top1,,,s\nd,t,d,resnet14,resnet8,ofd,,,top1,,,s\n"
                 "e,t,d,resnet14,resnet8,kd,kd,batch=many,top1,,,s\n");
    check_rejected(folder, "ktg train --preset ktg-a", {"--preset ktg-a: its number is on file, but this program has no method 'y'"});
    check_rejected(folder, "kd --preset b", {"recipe 'x': there is none of this name"});
    check_rejected(folder, "reviewkd --preset c", {"--preset c: option 'colour' is none of this subcommand's"});
    check_rejected(folder, "feed sequential --preset d", {"--preset d", "ofd is on file for the report only"});
    check_rejected(folder, "kd --preset e", {"--preset e: option 'batch': found 'many', expected a whole number"});
}

TEST_CASE("foreign bytes: an image whose header claims nothing, or more than the file can hold, is refused") {
    const TempFolder folder;
    const auto message = [&](uint32_t width, uint32_t height) {
        std::string bmp = "BM";
        for (const uint32_t number : {54u, 0u, 54u, 40u, width, height, 24u << 16 | 1, 0u, 0u, 0u, 0u, 0u, 0u})
            for (int shift = 0; shift < 32; shift += 8) bmp += static_cast<char>(number >> shift);
        put_file(folder / "a.bmp", bmp);
        return complaint([&] { load_image(folder / "a.bmp"); });
    };
    CHECK(says(message(60000, 60000),
               {"a.bmp: cannot be decoded (it says that it has 60000x60000 pixels of 3 samples, expected at most 268435456 samples"}));
    CHECK(says(message(0, 5), {"a.bmp: cannot be decoded (it says that it has 0x5 pixels, expected at least one)"}));
    CHECK(says(message(2000, 2000), {"a.bmp: cannot be decoded (it says that it has 2000x2000 pixels, which its 54 bytes cannot hold)"}));
}

TEST_CASE("foreign bytes: a JPEG's Huffman tables fit the decoder's") {
    const auto jpeg = [](int codes_of_each_length, size_t length, const std::string& before = "") {
        std::string table = std::string(1, '\0') + std::string(16, static_cast<char>(codes_of_each_length));
        table.resize(length - 2, '\1');
        return before + "\xFF\xD8\xFF\xE0" + std::string("\0\4\xFF\xC4", 4) +  // what an application keeps is not looked at
               "\xFF\xC4" + static_cast<char>(length >> 8) + static_cast<char>(length & 255) + table;
    };
    const auto message = [](const std::string& bytes) { return complaint([&] { check_jpeg(bytes); }); };
    CHECK(message("BM no JPEG") == "");
    CHECK(message(jpeg(15, 2 + 17 + 240)) == "");
    CHECK(message(jpeg(15, 2 + 17 + 240).substr(0, 100)) == "");  // the decoder says that it is cut
    CHECK(says(message(jpeg(16, 2 + 17 + 256)), {"JPEG, byte 12: found a Huffman table of 256 codes, expected at most 255"}));
    CHECK(says(message(jpeg(16, 2 + 17 + 256).insert(8, "\xFF\xFF")), {"byte 14: found a Huffman table of 256 codes"}));
    CHECK(says(message(jpeg(15, 2 + 17 + 240, "\xFF\xFF")), {"JPEG, byte 1: found fill bytes before an image's start, expected none"}));
    CHECK(says(message(jpeg(15, 2 + 3) + std::string(16, '\x7F')), {"byte 12: found a Huffman table of "}));  // counts behind the segment
}

TEST_CASE("foreign bytes: a JPEG's scan goes by Huffman tables that have come before it") {
    const auto table = [](char which) { return std::string("\xFF\xC4\0\x14", 4) + which + '\1' + std::string(15, '\0') + '\0'; };
    const auto scan = [](char tables, char first = 0, char places = 0) {
        return std::string("\xFF\xDA\0\x08\1\1", 6) + tables + first + '\x3F' + places;
    };
    const std::string begin = "\xFF\xD8", progressive = std::string("\xFF\xC2\0\2", 4), dc = table('\0'), ac = table('\x10');
    const auto message = [](const std::string& bytes) { return complaint([&] { check_jpeg(bytes); }); };
    CHECK(message(begin + dc + ac + scan('\0')) == "");
    CHECK(message(begin + dc + ac + table('\x13') + scan('\3')) == "");
    CHECK(says(message(begin + dc + ac + scan('\3')), {"byte 52: found a scan by the Huffman tables 0 and 3, expected such as are given"}));
    CHECK(says(message(begin + dc + scan('\0') + ac), {"found a scan by the Huffman tables 0 and 0"}));
    const std::string frame("\xFF\xC0\0\x0B\x8\0\1\0\1\1\1\x11\2", 13),
        quantized = std::string("\xFF\xDB\0\x43\2", 5) + std::string(64, '\1');
    CHECK(message(begin + quantized + frame + dc + ac + scan('\0')) == "");
    CHECK(says(message(begin + frame + dc + ac + scan('\0')),
               {"byte 64: found a scan by the quantization table 2, expected one that is given"}));
    // Of a progressive one a scan needs the table of its coefficients alone; one that refines the first needs none.
    CHECK(message(begin + progressive + dc + scan('\0')) == "");
    CHECK(message(begin + progressive + ac + scan('\0', 1)) == "");
    CHECK(message(begin + progressive + scan('\0', 0, '\x10')) == "");
    CHECK(says(message(begin + progressive + ac + scan('\0')), {"found a scan by"}));
    CHECK(says(message(begin + progressive + dc + scan('\0', 1)), {"found a scan by"}));
}

TEST_CASE("foreign bytes: a name that no file can have is the input's fault") {
    const TempFolder folder;
    const std::string name(300, 'x');
    for (const std::string& line :
         {"data info --data . --dataset " + name, "report " + name, "train --net resnet8 --dataset d --run " + name, "ktg show " + name})
        check_rejected(folder, line, {name, ": cannot be looked at (File name too long)"});
}

TEST_SUITE_END();
