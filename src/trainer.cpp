#include "trainer.h"

#include <cmath>

#include "base_error.h"
#include "base_texts.h"
#include "base_version.h"
#include "core_backend.h"
#include "core_conv_plan_store.h"
#include "launch_kernels.h"
#include "train_checkpoint.h"
#include "train_progress.h"

namespace distill {

std::vector<Evaluation> evaluate_together(Backend& backend, const Loader& loader, size_t count,
                                          const std::function<std::vector<Var>(const Var&)>& answers) {
    const NoGrad no_grad;
    const Tensor sums = Tensor::zeros(backend, {1, 1, 1, static_cast<int64_t>(2 * count)});
    for (int64_t step = 0; step < loader.test_steps(); ++step) {
        const Batch batch = loader.test_batch(step);
        const std::vector<Var> all = answers(batch.images);
        for (size_t i = 0; i < count; ++i) {
            const Tensor loss = sums.view(static_cast<int64_t>(2 * i), {}), correct = sums.view(static_cast<int64_t>(2 * i + 1), {});
            accumulate_scalar(loss, cross_entropy(all[i], batch.labels).value(), static_cast<float>(batch.size()));
            count_correct(all[i].value(), batch.labels, correct);
        }
    }
    const std::vector<float> totals = sums.to_host();
    const auto records = static_cast<double>(loader.test_records());
    std::vector<Evaluation> found;
    for (size_t i = 0; i < count; ++i)
        found.push_back({static_cast<double>(totals[2 * i]) / records, 100.0 * static_cast<double>(totals[2 * i + 1]) / records});
    return found;
}

Evaluation evaluate(Backend& backend, const Loader& loader, const Network& network, Mode mode,
                    const std::function<void(const Tensor&)>& look) {
    return evaluate_together(backend, loader, 1,
                             [&](const Var& images) {
                                 std::vector<Var> logits{network.forward(images, mode).logits};
                                 if (look) look(logits.front().value());
                                 return logits;
                             })
        .front();
}

namespace {

/// The student's training, as the last of the phases.
TrainingPlan plan_of(Method& method, const Options& options) {
    TrainingPlan plan;
    plan.epochs = options.epochs;
    plan.parameters = &method.parameters();
    plan.sgd = sgd_options(options);
    plan.sgd.reached_only = method.reached_only();
    plan.groups = method.groups(plan.sgd);
    plan.rate = [lr = options.lr, steps = parse_lr_steps(options.lr_steps)](int epoch) { return learning_rate(lr, steps, epoch); };
    plan.loss = "the loss";
    plan.parts = method.loss_names();
    plan.begin_epoch = [&method](int epoch) { method.begin_epoch(epoch); };
    plan.step = [&method](const Batch& batch) { return method.step(batch); };
    plan.backward = [&method](Tape& tape, const StepResult& result) { method.backward(tape, result); };
    return plan;
}

}  // namespace

Trainer::Trainer(Backend& backend, Loader& loader, Method& method, const Options& options, const RunFolder& folder, std::string name,
                 MayChange may_change)
    : backend_(backend),
      loader_(loader),
      method_(method),
      options_(options),
      folder_(folder),
      name_(std::move(name)),
      may_change_(std::move(may_change)),
      student_(backend, loader, options, plan_of(method, options)) {
    for (const Phase& phase : method.phases()) phases_.push_back(std::make_unique<PhaseTraining>(backend, loader, phase, options, name_));
}

void Trainer::finish_epoch(Progress& progress) {
    TrainingLoop::Table table;
    EpochMeans m;
    Evaluation test;
    std::vector<double> further;
    student_.timed([&] {
        m = student_.means(table);  // before there is a row
        const auto answers = [&](const Var& images) { return method_.answers(images); };
        const std::vector<Evaluation> tests = evaluate_together(backend_, loader_, 1 + method_.others().size(), answers);
        const std::vector<Evaluation> others(tests.begin() + 1, tests.end());
        test = tests.front();
        if (!std::isfinite(test.loss))  // the epoch's last step spoiled the weights: what was saved before stays
            student_.fail_not_finite(student_.step() - 1, text("the test loss after it is ", test.loss));
        result_.others.clear();
        for (const Evaluation& other : others) result_.others.push_back(other.accuracy);
        further = method_.test_values(test, others);
        method_.end_epoch(folder_, student_.epoch());
        result_.last = test.accuracy;
        if (rows_written_ == 0 || test.accuracy > result_.best) result_.best = test.accuracy, result_.best_epoch = student_.epoch();
        if (steps_csv_) log_steps(table);
    });
    std::vector<std::string> cells{std::to_string(student_.epoch()), number(student_.rate()), number(m.loss)};
    for (const double part : m.parts) cells.push_back(number(part));
    for (const double v : {m.accuracy, test.loss, test.accuracy, result_.best, student_.epoch_seconds()}) cells.push_back(number(v));
    for (const double accuracy : result_.others) cells.push_back(number(accuracy));
    for (const double value : further) cells.push_back(number(value));
    epochs_csv_->row(cells);
    epochs_csv_->sync();  // the checkpoint counts on these rows
    if (steps_csv_) steps_csv_->sync();
    ++rows_written_;
    progress.epoch(student_.epoch(), m.loss, m.accuracy, test.accuracy, result_.best);
    student_.next_epoch();
    write_checkpoint();
}

void Trainer::log_steps(const TrainingLoop::Table& table) {
    const int64_t columns = student_.columns();
    for (int64_t row = 0; row < student_.step(); ++row) {
        std::vector<std::string> cells{std::to_string(student_.steps() - student_.step() + row), number(student_.rate())};
        for (int64_t c = 0; c < columns - 2; ++c)
            cells.push_back(number(static_cast<double>(table[static_cast<size_t>(row * columns + c)])));
        cells.resize(cells.size() + logged_phases_.size());
        steps_csv_->row(cells);
    }
}

/// Rows of a phase: its loss is in its own column, too, and the student's losses are empty.
void Trainer::log_phase(size_t phase, int64_t first, double rate, const std::vector<float>& losses) {
    const size_t others = 3 + method_.loss_names().size();
    for (size_t i = 0; i < losses.size(); ++i) {
        const std::string loss = number(static_cast<double>(losses[i]));
        std::vector<std::string> cells{std::to_string(first + static_cast<int64_t>(i)), number(rate), loss};
        cells.resize(others + logged_phases_.size());
        cells[others + phase] = loss;
        steps_csv_->row(cells);
    }
    steps_csv_->sync();
}

/// epochs.csv, and with --log-steps steps.csv.
void Trainer::open_tables(bool resuming) {
    const std::vector<std::string> names = method_.loss_names();
    std::vector<std::string> epoch_columns{"epoch", "lr", "train_loss"}, step_columns{"step", "lr", "loss"};
    epoch_columns.insert(epoch_columns.end(), names.begin(), names.end());
    step_columns.insert(step_columns.end(), names.begin(), names.end());
    for (const char* c : {"train_acc", "test_loss", "test_acc", "best_acc", "seconds"}) epoch_columns.emplace_back(c);
    for (const OtherNetwork& other : method_.others()) epoch_columns.push_back("test_acc_" + other.name);
    for (const std::string& column : method_.test_columns()) epoch_columns.push_back(column);
    epochs_csv_.emplace(folder_.table("epochs.csv", epoch_columns, resuming, static_cast<size_t>(rows_written_)));
    if (!options_.log_steps) return;
    int64_t rows = student_.steps() - student_.step();
    for (size_t i = 0; i < phases_.size(); ++i) {
        const Phase& phase = phases_[i]->phase();
        if (!phase.in_steps_csv || phase.epochs == 0) continue;
        logged_phases_.push_back(i);
        step_columns.push_back(phase.loss);
        rows += phases_[i]->logged_steps();
    }
    steps_csv_.emplace(folder_.table("steps.csv", step_columns, resuming, static_cast<size_t>(rows)));
}

/// sessions.csv, a row a process: when and where it began, and on which machine. Another machine's sums may round otherwise, so that the
/// weights are not those of a run that stayed on one: that is said, and no reason to refuse.
void Trainer::log_session(bool resuming) {
    const char* const name = "sessions.csv";
    const std::vector<std::string> columns{"began_utc", "epoch", "step", "machine", "commit"};
    const std::string machine = backend_.description();
    CsvTable before;
    try {
        if (resuming && fs::exists(folder_.file(name))) before = read_csv(folder_.file(name), ReadCsv::whole_lines);
        if (!before.rows.empty() && before.columns != columns) input_error(folder_.file(name).string(), ": has other columns");
    } catch (const std::runtime_error& error) {  // no run must end for its log
        std::printf("note: %s; it is begun anew\n", error.what());
        before = {};
    }
    if (const size_t n = before.rows.size(); n > 0 && before.cell(n - 1, "machine") != machine)
        std::printf("note: it was trained on '%s' before, and goes on on '%s'\n", before.cell(n - 1, "machine").c_str(), machine.c_str());
    CsvWriter rows = folder_.table(name, columns, !before.rows.empty(), before.rows.size());
    rows.row({utc_now(), std::to_string(student_.epoch()), std::to_string(student_.step()), machine, commit()});
    rows.sync();
}

TrainingResult Trainer::result() const {
    TrainingResult r = result_;
    r.seconds = student_.seconds();
    for (const auto& phase : phases_) r.seconds += phase->seconds();
    return r;
}

bool Trainer::told_to_stop(const AfterEpoch& goes_on) const {
    return goes_on && rows_written_ > 0 && !goes_on(rows_written_, result_.last);
}

TrainingResult Trainer::run(const AfterEpoch& goes_on) {
    const bool resuming = options_.resume && fs::exists(folder_.checkpoint());
    if (resuming)
        load_conv_plans(backend_, folder_.file("conv_plans.csv")), resume();  // in place of this machine's
    else
        recall_machine_conv_plans(backend_), method_.begin_run(folder_, 0);  // a resumed run before it may have left its own
    open_tables(resuming);
    log_session(resuming);
    if (resuming && told_to_stop(goes_on)) return result();  // the report of the last finished epoch may have been lost
    const auto save = [this] { write_checkpoint(); };
    for (size_t i = 0; i < phases_.size(); ++i) {
        PhaseTraining::LogSteps log;
        for (size_t column = 0; column < logged_phases_.size(); ++column)
            if (logged_phases_[column] == i)
                log = [this, column](int64_t first, double rate, const std::vector<float>& losses) {
                    log_phase(column, first, rate, losses);
                };
        phases_[i]->run(folder_, save, log);
    }
    train_student(goes_on);
    return result();
}

void Trainer::train_student(const AfterEpoch& goes_on) {
    Progress progress(options_.epochs, student_.planned_steps(), student_.steps(), options_.quiet, name_);
    while (!student_.ended()) {
        student_.train_epoch(folder_.path(), progress, [this] { write_checkpoint(); });
        finish_epoch(progress);
        if (told_to_stop(goes_on)) break;
    }
}

void Trainer::write_checkpoint() const {
    save_conv_plans(backend_, folder_.file("conv_plans.csv"));
    keep_machine_conv_plans(backend_);
    Checkpoint c;
    student_.keep_in(c);
    for (const auto& phase : phases_) phase->keep_in(c);
    for (const auto& [name, tensor] : method_.state()) c.floats["method." + name] = host(tensor);
    c.counters["rows"] = rows_written_;
    c.counters["best_epoch"] = result_.best_epoch;
    c.text["last"] = exact(result_.last);
    c.text["best"] = exact(result_.best);
    for (size_t i = 0; i < result_.others.size(); ++i) c.text["other." + std::to_string(i)] = exact(result_.others[i]);
    for (const auto& [option, value] : folder_.config()) c.text["config." + option] = value;
    distill::write_checkpoint(folder_.checkpoint(), c);
}

void Trainer::resume() {
    const fs::path path = folder_.checkpoint();
    const Checkpoint c = read_checkpoint(path);
    for (const auto& [option, value] : folder_.config()) {
        if (may_change_ && may_change_(option)) continue;
        const auto found = c.text.find("config." + option);
        if (found == c.text.end() || found->second != value)
            input_error(path.string(), ": was written with ", option, " = ", found == c.text.end() ? "nothing" : found->second,
                        ", config.csv has ", value, "; restore config.csv or start anew in another folder");
    }
    rows_written_ = static_cast<int>(c.counters.at("rows"));
    method_.begin_run(folder_, rows_written_);
    student_.take_from(c, path);
    for (const auto& phase : phases_) phase->take_from(c, path);
    for (const auto& [name, tensor] : method_.state()) restore(tensor, c, "method." + name, path);
    result_.best_epoch = static_cast<int>(c.counters.at("best_epoch"));
    result_.last = std::stod(c.text.at("last"));
    result_.best = std::stod(c.text.at("best"));
    for (size_t i = 0; i < method_.others().size() && student_.epoch() > 0; ++i)
        result_.others.push_back(std::stod(c.text.at("other." + std::to_string(i))));
}

}  // namespace distill
