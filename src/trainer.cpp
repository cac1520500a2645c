#include "trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base_error.h"
#include "base_texts.h"
#include "base_training_failed.h"
#include "core_backend.h"
#include "core_conv_plan_store.h"
#include "launch_kernels.h"
#include "net_table.h"
#include "train_checkpoint.h"
#include "train_progress.h"

namespace distill {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point then) { return std::chrono::duration<double>(Clock::now() - then).count(); }

/// A double that survives the way through text.
std::string exact(double value) {
    char buffer[40];
    std::snprintf(buffer, sizeof buffer, "%.17g", value);
    return buffer;
}

}  // namespace

Evaluation evaluate(Backend& backend, const Loader& loader, const Network& network, Mode mode,
                    const std::function<void(const Tensor&)>& look) {
    const Recording off(nullptr);
    const Tensor sums = Tensor::zeros(backend, {1, 1, 1, 2});
    const Tensor loss = sums.view(0, {}), correct = sums.view(1, {});
    for (int64_t step = 0; step < loader.test_steps(); ++step) {
        const Batch batch = loader.test_batch(step);
        const Var logits = network.forward(batch.images, mode).logits;
        accumulate_scalar(loss, cross_entropy(logits, batch.labels).value(), static_cast<float>(batch.size()));
        count_correct(logits.value(), batch.labels, correct);
        if (look) look(logits.value());
    }
    const std::vector<float> totals = sums.to_host();
    const auto records = static_cast<double>(loader.test_records());
    return {static_cast<double>(totals[0]) / records, 100.0 * static_cast<double>(totals[1]) / records};
}

Trainer::Trainer(Backend& backend, Loader& loader, Method& method, const Options& options, const RunFolder& folder, std::string name)
    : backend_(backend),
      loader_(loader),
      method_(method),
      options_(options),
      folder_(folder),
      name_(std::move(name)),
      sgd_(sgd_options(options)),
      lr_steps_(parse_lr_steps(options.lr_steps)),
      lr_(Tensor::zeros(backend, {})),
      columns_(static_cast<int64_t>(method.loss_names().size()) + 3),
      preparation_(backend, loader, method.preparation(), options, name_) {
    table_ = Tensor::zeros(backend, {loader.steps_per_epoch(), 1, 1, columns_});
}

int64_t Trainer::planned_steps() const {
    const int64_t all = options_.epochs * loader_.steps_per_epoch();
    return options_.max_steps > 0 ? std::min(all, options_.max_steps) : all;
}

/// Everything that a step does, from the images to the update: nothing in it hangs on the step but through device memory.
void Trainer::queue_step(int64_t images) {
    const Batch batch = loader_.train_batch(images);
    StepResult r;
    {
        const Recording on(&tape_);
        r = method_.step(batch);
    }
    std::vector<Tensor> values{r.loss.value()};
    for (const Var& v : r.named) values.push_back(v.value());
    // The CPU's memory is the host's: a bad loss is seen before it reaches the weights. Elsewhere the epoch's end tells.
    if (backend_.immediate() && !std::isfinite(r.loss.data()[0])) {
        std::vector<float> row;
        for (const Tensor& v : values) row.push_back(v.item());
        require_finite(row.data(), step_);
    }
    method_.backward(tape_, r);
    sgd_step(method_.parameters(), lr_, sgd_);
    log_step(table_, loader_.step_of_epoch(), values, r.logits.value(), batch.labels);
    loader_.advance();
}

void Trainer::require_finite(const float* row, int64_t step) const {
    if (std::isfinite(row[0])) return;
    const std::vector<std::string> names = method_.loss_names();
    std::string parts;
    for (size_t i = 0; i < names.size(); ++i) parts += text(", ", names[i], " ", row[1 + i]);
    fail_not_finite(step, text("the loss is ", row[0], parts));
}

/// A loss may be finite and its update not; such weights must not replace the last good ones.
void Trainer::require_finite_weights(const std::vector<float>& values, const std::vector<float>& buffers) const {
    if (!all_finite(values) || !all_finite(buffers)) fail_not_finite(std::max<int64_t>(0, step_ - 1), "a weight is not finite after it");
}

void Trainer::fail_not_finite(int64_t step, const std::string& what) const {
    throw TrainingFailed(text("epoch ", epoch_, ", step ", step, " (counted from 0): ", what, "; try a smaller --lr. ", last_good()));
}

std::string Trainer::last_good() const {
    const bool saved = fs::exists(folder_.checkpoint());
    return saved ? "The last good state is kept in " + folder_.checkpoint().string() : "No checkpoint had been written yet";
}

Trainer::Totals Trainer::totals(const Table& table) const {
    Totals t;
    t.named.assign(method_.loss_names().size(), 0);
    double images = 0, correct = 0;
    for (int64_t row = 0; row < step_; ++row) {
        const float* v = table.data() + row * columns_;
        const auto n = static_cast<double>(v[columns_ - 1]);
        images += n;
        correct += static_cast<double>(v[columns_ - 2]);
        t.loss += n * static_cast<double>(v[0]);
        for (size_t i = 0; i < t.named.size(); ++i) t.named[i] += n * static_cast<double>(v[1 + i]);
    }
    t.loss /= images;
    for (double& v : t.named) v /= images;
    t.accuracy = 100.0 * correct / images;
    return t;
}

void Trainer::train_epoch(Progress& progress) {
    rate_ = learning_rate(options_.lr, lr_steps_, epoch_);
    const auto rate = static_cast<float>(rate_);
    lr_.upload(&rate);
    loader_.begin_epoch(epoch_, step_);
    method_.begin_epoch(epoch_);
    if (step_ == 0) table_.zero();
    auto saved = Clock::now();
    constexpr double checkpoint_seconds = 120;  // a kill costs at most this much of a long epoch
    while (step_ < loader_.steps_per_epoch() && !out_of_steps()) {
        const auto started = Clock::now();
        const int64_t images = loader_.batch_size(step_);
        replay_.run(backend_, images, [&] { queue_step(images); });
        ++step_;
        ++global_step_;
        result_.seconds += seconds_since(started);
        if (interruption()) {
            write_checkpoint();
            throw Interrupted(text("interrupted in epoch ", epoch_, " after step ", step_, "; go on with --resume --run ",
                                   shell_word(folder_.path().string())));
        }
        if (seconds_since(saved) > checkpoint_seconds) write_checkpoint(), saved = Clock::now();
        if (backend_.immediate()) {
            const float* logged = table_.data() + (step_ - 1) * columns_;
            progress.step(epoch_, images, static_cast<double>(logged[0]),
                          100.0 * static_cast<double>(logged[columns_ - 2]) / static_cast<double>(images));
        } else {
            progress.step(epoch_, images);
        }
    }
}

void Trainer::finish_epoch(Progress& progress) {
    const auto started = Clock::now();
    const Table table = table_.view(0, {step_, 1, 1, columns_}).to_host();
    for (int64_t row = 0; row < step_; ++row) require_finite(table.data() + row * columns_, row);
    require_finite_weights(host(method_.parameters().values()), host(method_.parameters().buffers()));  // before there is a row
    const Totals t = totals(table);
    const Evaluation test = evaluate(backend_, loader_, method_.student());
    if (!std::isfinite(test.loss))  // the epoch's last step spoiled the weights: what was saved before stays
        fail_not_finite(step_ - 1, text("the test loss after it is ", test.loss));
    result_.others.clear();
    for (const OtherNetwork& other : method_.others()) result_.others.push_back(evaluate(backend_, loader_, *other.network).accuracy);
    method_.end_epoch(folder_, epoch_);
    result_.last = test.accuracy;
    if (rows_written_ == 0 || test.accuracy > result_.best) result_.best = test.accuracy, result_.best_epoch = epoch_;
    if (steps_csv_) log_steps(table);
    result_.seconds += seconds_since(started);
    std::vector<std::string> cells{std::to_string(epoch_), number(rate_), number(t.loss)};
    for (double v : t.named) cells.push_back(number(v));
    for (double v : {t.accuracy, test.loss, test.accuracy, result_.best, result_.seconds - seconds_before_epoch_})
        cells.push_back(number(v));
    for (const double accuracy : result_.others) cells.push_back(number(accuracy));
    epochs_csv_->row(cells);
    epochs_csv_->sync();  // the checkpoint counts on these rows
    if (steps_csv_) steps_csv_->sync();
    ++rows_written_;
    progress.epoch(epoch_, t.loss, t.accuracy, test.accuracy, result_.best);
    ++epoch_;
    step_ = 0;
    seconds_before_epoch_ = result_.seconds;
    write_checkpoint();
}

void Trainer::log_steps(const Table& table) {
    for (int64_t row = 0; row < step_; ++row) {
        std::vector<std::string> cells{std::to_string(global_step_ - step_ + row), number(rate_)};
        for (int64_t c = 0; c < columns_ - 2; ++c)
            cells.push_back(number(static_cast<double>(table[static_cast<size_t>(row * columns_ + c)])));
        if (preparation_column_) cells.emplace_back();
        steps_csv_->row(cells);
    }
}

/// Rows of the preparation: its loss is in the last column, and the student's losses are empty.
void Trainer::log_preparation(int64_t first, double rate, const std::vector<float>& losses) {
    for (size_t i = 0; i < losses.size(); ++i) {
        std::vector<std::string> cells{std::to_string(first + static_cast<int64_t>(i)), number(rate),
                                       number(static_cast<double>(losses[i]))};
        cells.resize(cells.size() + method_.loss_names().size());
        cells.push_back(cells[2]);
        steps_csv_->row(cells);
    }
    steps_csv_->sync();
}

TrainingResult Trainer::run(const AfterEpoch& goes_on) {
    const bool resuming = options_.resume && fs::exists(folder_.checkpoint());
    recall_machine_conv_plans(backend_);
    if (resuming)
        load_conv_plans(backend_, folder_.file("conv_plans.csv")), resume();  // the run's own come first
    else
        method_.begin_run(folder_, 0);
    const std::vector<std::string> names = method_.loss_names();
    std::vector<std::string> epoch_columns{"epoch", "lr", "train_loss"}, step_columns{"step", "lr", "loss"};
    epoch_columns.insert(epoch_columns.end(), names.begin(), names.end());
    step_columns.insert(step_columns.end(), names.begin(), names.end());
    for (const char* c : {"train_acc", "test_loss", "test_acc", "best_acc", "seconds"}) epoch_columns.emplace_back(c);
    for (const OtherNetwork& other : method_.others()) epoch_columns.push_back("test_acc_" + other.name);
    epochs_csv_.emplace(folder_.table("epochs.csv", epoch_columns, resuming, static_cast<size_t>(rows_written_)));
    const Preparation preparation = method_.preparation();
    preparation_column_ = options_.log_steps && preparation.in_steps_csv && preparation.epochs > 0;
    if (preparation_column_) step_columns.push_back(preparation.loss);
    const int64_t step_rows = global_step_ - step_ + (preparation_column_ ? preparation_.logged_steps() : 0);
    if (options_.log_steps) steps_csv_.emplace(folder_.table("steps.csv", step_columns, resuming, static_cast<size_t>(step_rows)));
    const auto told_to_stop = [&] { return goes_on && rows_written_ > 0 && !goes_on(rows_written_, result_.last); };
    const auto result = [this] {
        TrainingResult r = result_;
        r.seconds += preparation_.seconds();
        return r;
    };
    if (resuming && told_to_stop()) return result();  // the report of the last finished epoch may have been lost
    PreparationPhase::LogSteps log;
    if (preparation_column_)
        log = [this](int64_t first, double rate, const std::vector<float>& losses) { log_preparation(first, rate, losses); };
    preparation_.run(
        folder_, [this] { write_checkpoint(); }, log);
    Progress progress(options_.epochs, planned_steps(), global_step_, options_.quiet, name_);
    while (epoch_ < options_.epochs && !(out_of_steps() && step_ == 0)) {
        train_epoch(progress);
        finish_epoch(progress);
        if (told_to_stop()) break;
    }
    return result();
}

void Trainer::write_checkpoint() const {
    save_conv_plans(backend_, folder_.file("conv_plans.csv"));
    keep_machine_conv_plans(backend_);
    const Parameters& p = method_.parameters();
    Checkpoint c;
    c.floats["values"] = host(p.values());
    c.floats["momenta"] = host(p.momenta());
    c.floats["buffers"] = host(p.buffers());
    c.floats["table"] = host(table_);
    for (const auto& [name, tensor] : method_.state()) c.floats["method." + name] = host(tensor);
    c.counters = {
        {"epoch", epoch_}, {"step", step_}, {"global_step", global_step_}, {"rows", rows_written_}, {"best_epoch", result_.best_epoch}};
    preparation_.keep_in(c);
    require_finite_weights(c.floats["values"], c.floats["buffers"]);
    c.text["last"] = exact(result_.last);
    c.text["best"] = exact(result_.best);
    c.text["seconds"] = exact(result_.seconds);
    c.text["seconds_before_epoch"] = exact(seconds_before_epoch_);
    for (size_t i = 0; i < result_.others.size(); ++i) c.text["other." + std::to_string(i)] = exact(result_.others[i]);
    for (const auto& [option, value] : folder_.config()) c.text["config." + option] = value;
    distill::write_checkpoint(folder_.checkpoint(), c);
}

void Trainer::resume() {
    const fs::path path = folder_.checkpoint();
    const Checkpoint c = read_checkpoint(path);
    for (const auto& [option, value] : folder_.config()) {
        const auto found = c.text.find("config." + option);
        if (may_change(option)) continue;
        if (found == c.text.end() || found->second != value)
            input_error(path.string(), ": was written with ", option, " = ", found == c.text.end() ? "nothing" : found->second,
                        ", config.csv has ", value, "; restore config.csv or start anew in another folder");
    }
    rows_written_ = static_cast<int>(c.counters.at("rows"));
    method_.begin_run(folder_, rows_written_);  // which may say better than a tensor's size that this is another training
    const Parameters& p = method_.parameters();
    restore(p.values(), c, "values", path);
    p.values_changed();
    restore(p.momenta(), c, "momenta", path);
    restore(p.buffers(), c, "buffers", path);
    restore(table_, c, "table", path);
    preparation_.take_from(c, path);
    for (const auto& [name, tensor] : method_.state()) restore(tensor, c, "method." + name, path);
    epoch_ = static_cast<int>(c.counters.at("epoch"));
    step_ = c.counters.at("step");
    global_step_ = c.counters.at("global_step");
    result_.best_epoch = static_cast<int>(c.counters.at("best_epoch"));
    result_.last = std::stod(c.text.at("last"));
    result_.best = std::stod(c.text.at("best"));
    result_.seconds = std::stod(c.text.at("seconds"));
    seconds_before_epoch_ = std::stod(c.text.at("seconds_before_epoch"));
    for (size_t i = 0; i < method_.others().size() && epoch_ > 0; ++i)
        result_.others.push_back(std::stod(c.text.at("other." + std::to_string(i))));
}

}  // namespace distill
