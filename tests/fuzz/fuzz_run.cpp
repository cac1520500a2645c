// A run's folder as the report reads it: config.csv, epochs.csv, result.csv, edges.csv, graph.csv, sessions.csv; empty ones are not there.
#include <sstream>

#include "fuzz.h"
#include "report.h"
#include "report_collect.h"
#include "report_feed.h"
#include "report_html.h"
#include "report_summary.h"
#include "report_text.h"

namespace distill::fuzz {
namespace {

constexpr const char* names[] = {"config.csv", "epochs.csv", "result.csv", "edges.csv", "graph.csv", "sessions.csv"};

/// Of one run as train, and one as `ktg train`, write it.
const std::string config =
    "option,value\nmethod,train\ndata,data\ndataset,shapes\nstudent,resnet8\nepochs,2\nseed,0\nlr,0.1\ninfo.commit,abc\n";
const std::string epochs =
    "epoch,lr,train_loss,test_loss,test_acc,seconds,images_per_s\n0,0.1,2.5,2.25,40,1,100\n1,0.1,1.5,1.25,50.5,1,100\n";
const std::string result =
    "id,dataset,teacher,student,method,seed,last,best,best_epoch,seconds,device,precision,commit\n"
    ",shapes,,resnet8,train,0,50.5,50.5,1,2,cpu,fp32,abc\n";
const std::string sessions = "began_utc,epoch,step,machine,commit\n2026-01-02 03:04:05,0,0,\"cpu, 1 threads\",abc\n";
const std::string graph = "node,model,weights,gate_0,gate_1\n0,resnet8,,through,linear\n1,resnet8,,cutoff,cutoff\n";
const std::string graph_config = "option,value\nmethod,ktg\ngraph,graph.csv\ndataset,shapes\nstudent,resnet8\ninfo.node1_accuracy,61.5\n";
const std::string graph_epochs = "epoch,train_loss,test_acc,test_acc_1\n0,2.5,40,41\n";
const std::string edges =
    "epoch,target,source,weight,loss,both_right,source_only,target_only,none_right\n0,0,0,1,2.5,3,4,0,1\n0,0,1,0.5,0.5,1,1,1,1\n";

}  // namespace

std::vector<std::string> seeds() {
    return {joined_parts({config, epochs, "", "", "", ""}), joined_parts({config, epochs, result, "", "", sessions}),
            joined_parts({graph_config, graph_epochs, "", edges, graph, ""})};
}

void parse(const std::string& bytes) {
    const fs::path run = folder() / "run";
    fs::create_directories(run);
    const std::vector<std::string> parts = parts_of(bytes, std::size(names));
    for (size_t i = 0; i < parts.size(); ++i) {
        fs::remove(run / names[i]);
        if (!parts[i].empty()) file_of(parts[i], (std::string("run/") + names[i]).c_str());
    }
    const std::vector<Run> runs = collect_runs({run});
    for (const Run& one : runs)
        require(one.fault.empty() || one.fault.find(run.string()) != std::string::npos, "what is wrong with a run is said with its file");
    const Report report = summarize(runs, {});
    std::ostringstream out;
    write_text(out, report);
    write_feed(out, feed_studies(report));
    write_csv(folder() / "written.csv", report);
    html_page(report, "now");
}

}  // namespace distill::fuzz
