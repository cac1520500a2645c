// report_runs.h: what the report's tests report on: runs with what matters set by hand, and a paper's rows.
// defines: testing::Recipe, testing::epochs_header, testing::result_header, testing::as_the_row_says, testing::write_unfinished,
//          testing::write_run, testing::paper, testing::report_on
#pragma once
#include <string>
#include <vector>

#include "base_error.h"
#include "complaints.h"
#include "report.h"
#include "report_collect.h"
#include "report_summary.h"

namespace distill::testing {

/// A run folder to be: what matters is set by hand, the rest is alike for all.
struct Recipe {
    std::string id, dataset = "cifar100", teacher, student = "small", method = "train";
    int seed = 0;
    double last = 70, best = 71, seconds = 3600;
    std::string options = {};  ///< further lines of config.csv
    std::vector<double> accuracies = {10, 70};
    std::string commit = "abc";
};

inline const std::string epochs_header = "epoch,lr,train_loss,loss_ce,train_acc,test_loss,test_acc,best_acc,seconds\n";
inline const std::string result_header = "id,dataset,teacher,student,method,seed,last,best,best_epoch,seconds,device,precision,commit\n";

/// What a run started with --preset ID has on file, nothing given by hand, on the official images.
inline std::string as_the_row_says(const std::string& id) {
    return "preset,\"" + id + "\"\ninfo.train_images,50000\ninfo.test_images,10000\ninfo.by_hand,\n";
}

inline void write_unfinished(const fs::path& folder, const Recipe& r) {
    put_file(folder / "config.csv", text("option,value\nmethod,", r.method, "\nid,", r.id, "\ndataset,", r.dataset, "\nteacher,", r.teacher,
                                         "\nstudent,", r.student, "\nepochs,30\nseed,", r.seed, "\n", as_the_row_says(r.id), r.options));
    std::string rows = epochs_header;
    for (size_t e = 0; e < r.accuracies.size(); ++e) rows += text(e, ",0.1,1.5,1.5,50,1.4,", r.accuracies[e], ",50,1\n");
    put_file(folder / "epochs.csv", rows);
}

inline void write_run(const fs::path& folder, const Recipe& r) {
    write_unfinished(folder, r);
    put_file(folder / "result.csv", text(result_header, r.id, ',', r.dataset, ',', r.teacher, ',', r.student, ',', r.method, ',', r.seed,
                                         ',', r.last, ',', r.best, ",1,", r.seconds, ",cpu,fp32,", r.commit, '\n'));
}

inline const std::vector<PaperRow> paper = {
    {"p-student", "T", "cifar100", "big", "small", "student", "top1", 69.0, {}, "bench", "train"},
    {"p-teacher", "T", "cifar100", "big", "small", "teacher", "top1", 74.0, {}, "bench", "train", {{"student", "big"}}},
    {"p-kd", "T", "cifar100", "big", "small", "kd", "top1", 70.5, {}, "bench", "kd"},
    {"p-reviewkd", "T", "cifar100", "big", "small", "reviewkd", "top1_best", 72.0, 0.25, "quoted", "reviewkd"},
    {"p-ablation", "T", "cifar100", "big", "small", "reviewkd-r", "top1", {}, {}, "quoted", "reviewkd"},
};

inline Report report_on(const TempFolder& folder) { return summarize(collect_runs({folder.path()}), paper); }

}  // namespace distill::testing
