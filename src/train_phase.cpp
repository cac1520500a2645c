#include "train_phase.h"

#include <limits>

#include "base_csv.h"
#include "base_texts.h"
#include "core_backend.h"
#include "train_progress.h"

namespace distill {
namespace {

TrainingPlan plan_of(const Phase& phase, const Options& options) {
    TrainingPlan plan;
    plan.name = phase.name;
    plan.own_draws = phase.own_draws;
    plan.epochs = phase.epochs;
    plan.parameters = phase.parameters;
    plan.sgd = phase.sgd.value_or(sgd_options(options));
    plan.rate = phase.rate ? phase.rate : [&options](int) { return options.lr; };
    plan.loss = phase.loss;
    plan.classifies = false;
    plan.step = [step = phase.step](const Batch& batch) { return StepResult{step(batch), {}, {}}; };
    plan.backward = [p = phase.parameters](Tape& tape, const StepResult& result) {
        p->begin_backward();
        tape.backward(result.loss);
    };
    return plan;
}

}  // namespace

PhaseTraining::PhaseTraining(Backend& backend, Loader& loader, const Phase& phase, const Options& options, std::string run_name)
    : phase_(phase),
      options_(options),
      run_name_(std::move(run_name)),
      loop_(backend, loader, options, plan_of(phase_, options)),
      last_loss_(std::numeric_limits<double>::quiet_NaN()) {}

void PhaseTraining::run(const RunFolder& folder, const TrainingLoop::Save& save, const LogSteps& log_steps) {
    if (loop_.ended()) return;
    CsvWriter rows = folder.table((phase_.name + ".csv").c_str(), {"epoch", "lr", phase_.loss, "seconds"}, loop_.steps() > 0,
                                  static_cast<size_t>(loop_.epoch()));
    Progress progress(phase_.epochs, loop_.planned_steps(), loop_.steps(), options_.quiet, run_name_, phase_.name);
    while (!loop_.ended()) {
        loop_.train_epoch(folder.path(), progress, save);
        std::vector<float> losses;
        loop_.timed([&] { last_loss_ = loop_.means(losses).loss; });  // before there is a row
        rows.row({std::to_string(loop_.epoch()), number(loop_.rate()), number(last_loss_), number(loop_.epoch_seconds())});
        rows.sync();  // the checkpoint counts on it
        progress.epoch(loop_.epoch(), {"  " + phase_.loss + " " + fixed(last_loss_, 4)});
        if (log_steps) log_steps(logged_steps(), loop_.rate(), losses);
        loop_.next_epoch();
        if (loop_.ended()) {
            Tensor momenta = phase_.parameters->momenta();
            momenta.zero();  // they may be the student's: it begins afresh
            if (phase_.keep) phase_.keep(folder);
            loop_.forget_recordings();  // their memory is the student's now
        }
        save();
    }
}

void PhaseTraining::keep_in(Checkpoint& c) const {
    loop_.keep_in(c);
    c.text[phase_.name + ".last_loss"] = number(last_loss_);
}

void PhaseTraining::take_from(const Checkpoint& c, const std::filesystem::path& path) {
    loop_.take_from(c, path);
    last_loss_ = std::stod(c.text.at(phase_.name + ".last_loss"));
}

}  // namespace distill
