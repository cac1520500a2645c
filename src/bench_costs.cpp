#include "bench_costs.h"

#include <cstdio>
#include <memory>

#include "base_command_line.h"
#include "base_csv.h"
#include "base_error.h"
#include "base_texts.h"
#include "bench_training.h"
#include "train_option_table.h"

namespace distill {
namespace {

struct Costs {
    BenchOptions options;
    std::string methods;
    OptionTable table;
};

std::string methods_of_one_teacher() {
    std::vector<std::string> names;
    for (const MethodRow* row : methods())
        if (row->teachers == Teaching::one) names.emplace_back(row->name);
    return joined(names, ",");
}

/// The same networks by another method; one that two groups have, as the CRD benchmark has it.
BenchOptions by_method(BenchOptions o, const std::string& name) {
    const MethodRow* const row = find_method(name);
    if (!row || row->teachers != Teaching::one)
        input_error("--methods: found '", name, "', expected methods of one teacher: ", methods_of_one_teacher());
    o.method = name;
    o.own = choose(*row).options;
    OptionTable own;
    o.own->add_to(own);
    if (own.has("benchmark-form")) own.set("benchmark-form", "on", "bench");
    if (own.has("kd-weight")) own.set("kd-weight", "1", "bench");  // which random weights stay finite with
    return o;
}

void run_costs(const BenchOptions& asked, const std::string& list) {
    const std::vector<std::string> head{"method", "ms_per_step", "ms_plain", "ms_teacher", "ratio"};
    require_csv(asked.csv, head);
    BenchOptions plain = asked, forward = asked;
    plain.method = "train";
    plain.training.teacher.clear();
    forward.method = "teacher";
    std::vector<std::unique_ptr<BenchTraining>> timed;
    for (const BenchOptions& o : {plain, forward}) timed.push_back(std::make_unique<BenchTraining>(o));
    const std::vector<std::string> names = split(list, ',');
    for (const std::string& name : names) timed.push_back(std::make_unique<BenchTraining>(by_method(asked, name)));
    const std::vector<double> ms = ms_in_turns(timed, asked.warmup, asked.steps);

    const double beside = ms[0] + ms[1];
    std::printf("%s -> %s, batch %lld, %s: the student's plain step %.2f ms + the teacher's forward pass %.2f ms\n",
                asked.training.teacher.c_str(), asked.training.student.c_str(), static_cast<long long>(asked.training.batch),
                timed[0]->backend().description().c_str(), ms[0], ms[1]);
    std::vector<std::vector<std::string>> rows;
    for (size_t i = 0; i < names.size(); ++i) {
        rows.push_back({names[i], number(ms[i + 2]), number(ms[0]), number(ms[1]), number(ms[i + 2] / beside)});
        std::printf("  %-12s %9.2f ms  %6.3f\n", names[i].c_str(), ms[i + 2], ms[i + 2] / beside);
    }
    put_csv(asked.csv, head, rows);
}

}  // namespace

void add_bench_costs(Subcommand bench) {
    const Subcommand sub = bench.add_subcommand(
        "costs", "steps of several methods in turns, each over the student's plain step plus the teacher's forward pass");
    const auto c = std::make_shared<Costs>();
    BenchOptions& o = c->options;
    OptionTable& t = c->table;
    c->methods = "at,sp,cc,rkd,pkt,fitnet,dkd,vid,ft,nst";
    o.training.batch = 64;
    t.add_network("--teacher", o.training.teacher, "teacher network, with random weights").required();
    t.add_network("--student", o.training.student, "network to train").required();
    t.add("--methods", c->methods, "which, separated by commas, of " + methods_of_one_teacher());
    t.add("--batch", o.training.batch, {1}, "images a step");
    t.add("--records", o.records, {0}, "training images that lie in memory, for methods that keep a row of each (0: a batch of them)");
    t.add("--steps", o.steps, {1}, "timed steps of each");
    t.add("--size", o.size, {8}, "height and width of the images");
    t.add("--precision", o.training.precision, {"fp32", "tf32", "bf16"}, "of convolutions and products");
    add_machine_options(t, o.training);
    t.add("--csv", o.csv, "also write the figures here");
    t.attach(sub);
    sub.callback([c] { run_costs(c->options, c->methods); });
}

}  // namespace distill
