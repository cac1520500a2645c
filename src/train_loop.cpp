#include "train_loop.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base_error.h"
#include "base_texts.h"
#include "base_time.h"
#include "base_training_failed.h"
#include "core_backend.h"
#include "ops.h"
#include "train_interruption.h"
#include "train_progress.h"

namespace distill {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

SgdOptions sgd_options(const Options& o) { return {static_cast<float>(o.momentum), static_cast<float>(o.weight_decay), o.nesterov}; }

TrainingLoop::TrainingLoop(Backend& backend, Loader& loader, const Options& options, TrainingPlan plan)
    : backend_(backend),
      loader_(loader),
      options_(options),
      plan_(std::move(plan)),
      columns_(static_cast<int64_t>(plan_.parts.size()) + (plan_.classifies ? 3 : 1)),
      optimizer_(*plan_.parameters, plan_.sgd, plan_.groups),
      table_(Tensor::zeros(backend, {loader.steps_per_epoch(), 1, 1, columns_})) {}

int64_t TrainingLoop::planned_steps() const {
    const int64_t all = plan_.epochs * loader_.steps_per_epoch();
    return options_.max_steps > 0 ? std::min(all, options_.max_steps) : all;
}

void TrainingLoop::timed(const std::function<void()>& work) {
    const auto started = Clock::now();
    work();
    seconds_ += seconds_since(started);
}

/// Everything that a step does, from the images to the update: nothing in it hangs on the step but through device memory.
void TrainingLoop::queue_step(int64_t images) {
    const Batch batch = loader_.train_batch(images);
    StepResult r;
    {
        const Recording on(&tape_);
        r = plan_.step(batch);
    }
    if (r.named.size() != plan_.parts.size())
        failure("a step gives ", r.named.size(), " losses (StepResult::named), loss_names() has ", plan_.parts.size(), ": ",
                joined(plan_.parts), " ---> one loss for each name, in their order");
    std::vector<Tensor> values{r.loss.value()};
    for (const Var& v : r.named) values.push_back(v.value());
    // The CPU's memory is the host's: a bad loss is seen before it reaches the weights. Elsewhere the epoch's end tells.
    if (backend_.immediate() && !std::isfinite(r.loss.data()[0])) {
        std::vector<float> row;
        for (const Tensor& v : values) row.push_back(v.item());
        require_finite(row.data(), step_);
    }
    plan_.backward(tape_, r);
    optimizer_.step();
    if (plan_.classifies)
        log_step(table_, loader_.step_of_epoch(), values, r.logits.value(), batch.labels);
    else
        log_value(table_, loader_.step_of_epoch(), values.front());
    loader_.advance();
}

void TrainingLoop::require_finite(const float* row, int64_t step) const {
    if (std::isfinite(row[0])) return;
    std::string parts;
    for (size_t i = 0; i < plan_.parts.size(); ++i) parts += text(", ", plan_.parts[i], " ", row[1 + i]);
    fail_not_finite(step, text(plan_.loss, " is ", row[0], parts));
}

/// A loss may be finite and its update not; such weights must not replace the last good ones.
void TrainingLoop::require_finite_weights(const std::vector<float>& values, const std::vector<float>& buffers) const {
    if (!all_finite(values) || !all_finite(buffers)) fail_not_finite(std::max<int64_t>(0, step_ - 1), "a weight is not finite after it");
}

void TrainingLoop::fail_not_finite(int64_t step, const std::string& what) const {
    const fs::path checkpoint = run_ / "checkpoint.bin";
    throw TrainingFailed(
        text(plan_.name, plan_.name.empty() ? "" : ", ", "epoch ", epoch_, ", step ", step, " (counted from 0): ", what, "; try a smaller ",
             plan_.name.empty() ? "--lr" : "learning rate", ". ",
             fs::exists(checkpoint) ? "The last good state is kept in " + checkpoint.string() : "No checkpoint had been written yet"));
}

void TrainingLoop::show(Progress& progress, int64_t images) const {
    if (!backend_.immediate()) return progress.step(epoch_, images);
    const float* row = table_.data() + (step_ - 1) * columns_;
    if (plan_.classifies)
        progress.step(epoch_, images, static_cast<double>(row[0]),
                      100.0 * static_cast<double>(row[columns_ - 2]) / static_cast<double>(images));
    else
        progress.step(epoch_, images, "  " + plan_.loss + " " + fixed(static_cast<double>(row[0]), 4));
}

void TrainingLoop::train_epoch(const fs::path& run, Progress& progress, const Save& save) {
    run_ = run;
    optimizer_.set_rates(rate(), epoch_);
    loader_.begin_epoch(epoch_, step_, plan_.own_draws ? plan_.name : "");
    if (plan_.begin_epoch) plan_.begin_epoch(epoch_);
    if (step_ == 0) table_.zero();
    auto saved = Clock::now();
    constexpr double checkpoint_seconds = 120;  // a kill costs at most this much of a long epoch
    while (step_ < loader_.steps_per_epoch() && !out_of_steps()) {
        const int64_t images = loader_.batch_size(step_);
        timed([&] {
            replay_.run(backend_, images, [&] { queue_step(images); });
            ++step_;
            ++steps_;
        });
        if (interruption()) {
            save();
            throw Interrupted(text("interrupted in epoch ", epoch_ + 1, plan_.name.empty() ? "" : " of the ", plan_.name, " after step ",
                                   step_, "; go on with --resume --run ", shell_word(run.string()), options_.given_anew));
        }
        if (seconds_since(saved) > checkpoint_seconds) save(), saved = Clock::now();
        show(progress, images);
    }
}

EpochMeans TrainingLoop::means(Table& table) const {
    table = table_.view(0, {step_, 1, 1, columns_}).to_host();
    EpochMeans m;
    m.parts.assign(plan_.parts.size(), 0);
    double images = 0, correct = 0;
    for (int64_t step = 0; step < step_; ++step) {
        const float* row = table.data() + step * columns_;
        require_finite(row, step);
        const auto n = static_cast<double>(loader_.batch_size(step));
        images += n;
        m.loss += n * static_cast<double>(row[0]);
        for (size_t i = 0; i < m.parts.size(); ++i) m.parts[i] += n * static_cast<double>(row[1 + i]);
        if (plan_.classifies) correct += static_cast<double>(row[columns_ - 2]);
    }
    require_finite_weights(host(plan_.parameters->values()), host(plan_.parameters->buffers()));
    m.loss /= images;
    for (double& part : m.parts) part /= images;
    m.accuracy = 100.0 * correct / images;
    return m;
}

void TrainingLoop::next_epoch() {
    ++epoch_;
    step_ = 0;
    seconds_before_epoch_ = seconds_;
}

void TrainingLoop::keep_in(Checkpoint& c) const {
    const Parameters& p = *plan_.parameters;
    const auto& values = c.floats[entry("values")] = host(p.values());
    const auto& buffers = c.floats[entry("buffers")] = host(p.buffers());
    if (!ended() || plan_.name.empty()) require_finite_weights(values, buffers);  // a phase's may be trained further by what comes after it
    c.floats[entry("momenta")] = host(p.momenta());
    for (const auto& [name, tensor] : optimizer_.state()) c.floats[entry(name.c_str())] = host(tensor);
    c.floats[entry("table")] = host(table_);
    if (plan_.own_draws) c.counters[entry("own_draws")] = 1;
    c.counters[entry("epoch")] = epoch_;
    c.counters[entry("step")] = step_;
    c.counters[entry("global_step")] = steps_;
    c.text[entry("seconds")] = exact(seconds_);
    c.text[entry("seconds_before_epoch")] = exact(seconds_before_epoch_);
}

void TrainingLoop::take_from(const Checkpoint& c, const fs::path& path) {
    const Parameters& p = *plan_.parameters;
    restore(p.values(), c, entry("values"), path);
    p.values_changed();
    restore(p.momenta(), c, entry("momenta"), path);
    restore(p.buffers(), c, entry("buffers"), path);
    for (const auto& [name, tensor] : optimizer_.state()) restore(tensor, c, entry(name.c_str()), path);
    restore(table_, c, entry("table"), path);
    epoch_ = static_cast<int>(c.counters.at(entry("epoch")));
    step_ = c.counters.at(entry("step"));
    steps_ = c.counters.at(entry("global_step"));
    if (plan_.own_draws && steps_ > 0 && !ended() && c.counters.count(entry("own_draws")) == 0)
        input_error(path.string(), ": its ", plan_.name,
                    " was begun by an earlier version, which drew other batches, and is not at its end; ",
                    "start the run again in another folder");
    seconds_ = std::stod(c.text.at(entry("seconds")));
    seconds_before_epoch_ = std::stod(c.text.at(entry("seconds_before_epoch")));
}

}  // namespace distill
