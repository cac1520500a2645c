#include "train_preparation.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <limits>

#include "base_csv.h"
#include "base_error.h"
#include "base_texts.h"
#include "base_training_failed.h"
#include "ops.h"
#include "train_progress.h"

namespace distill {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point then) { return std::chrono::duration<double>(Clock::now() - then).count(); }

std::string figure(const std::string& loss, double value) {
    char shown[32];
    std::snprintf(shown, sizeof shown, "%.4f", value);
    return "  " + loss + " " + shown;
}

}  // namespace

SgdOptions sgd_options(const Options& o) { return {static_cast<float>(o.momentum), static_cast<float>(o.weight_decay), o.nesterov}; }

PreparationPhase::PreparationPhase(Backend& backend, Loader& loader, Preparation preparation, const Options& options, std::string run_name)
    : backend_(backend),
      loader_(loader),
      preparation_(std::move(preparation)),
      options_(options),
      run_name_(std::move(run_name)),
      sgd_(preparation_.sgd.value_or(sgd_options(options))),
      last_loss_(std::numeric_limits<double>::quiet_NaN()) {
    if (!preparation_.parameters) return;
    lr_ = Tensor::zeros(backend, {});
    losses_ = Tensor::zeros(backend, {1, 1, 1, loader.steps_per_epoch()});
}

bool PreparationPhase::ended() const {
    return epoch_ >= preparation_.epochs || (options_.max_steps > 0 && steps_made_ >= options_.max_steps);
}

double PreparationPhase::rate() const { return preparation_.rate ? preparation_.rate(static_cast<int>(epoch_)) : options_.lr; }

int64_t PreparationPhase::planned_steps() const {
    const int64_t all = preparation_.epochs * loader_.steps_per_epoch();
    return options_.max_steps > 0 ? std::min(all, options_.max_steps) : all;
}

void PreparationPhase::queue_step(int64_t images) {
    const Batch batch = loader_.train_batch(images);
    Var loss;
    {
        const Recording on(&tape_);
        loss = preparation_.step(batch);
    }
    if (backend_.immediate()) {  // as in the trainer: a bad loss does not reach the weights
        const auto value = static_cast<double>(loss.data()[0]);
        if (!std::isfinite(value)) fail_not_finite(step_, text(preparation_.loss, " is ", value));
        figures_ = figure(preparation_.loss, value);
    }
    Parameters& parameters = *preparation_.parameters;
    parameters.begin_backward();
    tape_.backward(loss);
    sgd_step(parameters, lr_, sgd_);
    log_value(losses_, loader_.step_of_epoch(), loss.value());
    loader_.advance();
}

double PreparationPhase::mean_of(const std::vector<float>& losses) const {
    double sum = 0, images = 0;
    for (size_t step = 0; step < losses.size(); ++step) {
        const auto n = static_cast<double>(loader_.batch_size(static_cast<int64_t>(step)));
        if (!std::isfinite(losses[step])) fail_not_finite(static_cast<int64_t>(step), text(preparation_.loss, " is ", losses[step]));
        sum += n * static_cast<double>(losses[step]);
        images += n;
    }
    return sum / images;
}

/// A loss may be finite and its update not; such weights must not replace the last good ones.
void PreparationPhase::require_finite_weights(const std::vector<float>& values) const {
    if (!all_finite(values)) fail_not_finite(std::max<int64_t>(0, step_ - 1), "a weight is not finite after it");
}

void PreparationPhase::fail_not_finite(int64_t step, const std::string& what) const {
    throw TrainingFailed(
        text(preparation_.name, ", epoch ", epoch_, ", step ", step, " (counted from 0): ", what, "; try a smaller learning rate"));
}

void PreparationPhase::train_epoch(const RunFolder& folder, Progress& progress, const std::function<void()>& save_checkpoint) {
    const auto now = static_cast<float>(rate());
    lr_.upload(&now);
    loader_.begin_epoch(static_cast<int>(epoch_), step_);
    auto saved = Clock::now();
    while (step_ < loader_.steps_per_epoch() && !ended()) {
        const auto started = Clock::now();
        const int64_t images = loader_.batch_size(step_);
        replay_.run(backend_, images, [&] { queue_step(images); });
        ++step_;
        ++steps_made_;
        seconds_ += seconds_since(started);
        if (interruption()) {
            save_checkpoint();
            throw Interrupted(text("interrupted in epoch ", epoch_, " of the ", preparation_.name, " after step ", step_,
                                   "; go on with --resume --run ", shell_word(folder.path().string())));
        }
        constexpr double checkpoint_seconds = 120;  // as the trainer
        if (seconds_since(saved) > checkpoint_seconds) save_checkpoint(), saved = Clock::now();
        progress.step(static_cast<int>(epoch_), images, figures_);
    }
}

void PreparationPhase::run(const RunFolder& folder, const std::function<void()>& save_checkpoint, const LogSteps& log_steps) {
    if (ended()) return;
    CsvWriter rows = folder.table((preparation_.name + ".csv").c_str(), {"epoch", "lr", preparation_.loss, "seconds"},
                                  epoch_ > 0 || step_ > 0, static_cast<size_t>(epoch_));
    Progress progress(preparation_.epochs, planned_steps(), steps_made_, options_.quiet, run_name_, preparation_.name);
    while (!ended()) {
        train_epoch(folder, progress, save_checkpoint);
        const auto started = Clock::now();
        const std::vector<float> losses = losses_.view(0, {1, 1, 1, step_}).to_host();
        last_loss_ = mean_of(losses);
        require_finite_weights(host(preparation_.parameters->values()));  // before there is a row
        seconds_ += seconds_since(started);
        rows.row({std::to_string(epoch_), number(rate()), number(last_loss_), number(seconds_ - seconds_before_epoch_)});
        rows.sync();  // the checkpoint counts on it
        progress.epoch(static_cast<int>(epoch_), {figure(preparation_.loss, last_loss_)});
        if (log_steps) log_steps(logged_steps(), rate(), losses);
        ++epoch_;
        step_ = 0;
        if (ended()) {
            Tensor momenta = preparation_.parameters->momenta();
            momenta.zero();  // they may be the student's: it begins afresh
            if (preparation_.keep) preparation_.keep(folder);
            replay_ = {};  // a recorded step holds its memory, which is the student's now
        }
        seconds_before_epoch_ = seconds_;
        save_checkpoint();
    }
}

void PreparationPhase::keep_in(Checkpoint& c) const {
    if (!preparation_.parameters) return;
    const Parameters& p = *preparation_.parameters;
    c.floats["preparation.values"] = host(p.values());
    c.floats["preparation.momenta"] = host(p.momenta());
    c.floats["preparation.buffers"] = host(p.buffers());
    c.floats["preparation.losses"] = host(losses_);
    if (!ended()) require_finite_weights(c.floats["preparation.values"]);  // later the trainer looks
    c.counters["preparation.epoch"] = epoch_;
    c.counters["preparation.step"] = step_;
    c.counters["preparation.steps_made"] = steps_made_;
    c.text["preparation.seconds"] = number(seconds_);
    c.text["preparation.seconds_before_epoch"] = number(seconds_before_epoch_);
    c.text["preparation.last_loss"] = number(last_loss_);
}

void PreparationPhase::take_from(const Checkpoint& c, const std::filesystem::path& path) {
    if (!preparation_.parameters) return;
    const Parameters& p = *preparation_.parameters;
    restore(p.values(), c, "preparation.values", path);
    p.values_changed();
    restore(p.momenta(), c, "preparation.momenta", path);
    restore(p.buffers(), c, "preparation.buffers", path);
    restore(losses_, c, "preparation.losses", path);
    epoch_ = c.counters.at("preparation.epoch");
    step_ = c.counters.at("preparation.step");
    steps_made_ = c.counters.at("preparation.steps_made");
    seconds_ = std::stod(c.text.at("preparation.seconds"));
    seconds_before_epoch_ = std::stod(c.text.at("preparation.seconds_before_epoch"));
    last_loss_ = std::stod(c.text.at("preparation.last_loss"));
}

}  // namespace distill
