#include "preparation.h"

#include <chrono>
#include <cmath>
#include <cstdio>

#include "csv.h"
#include "error.h"
#include "kernels.h"
#include "optim.h"

namespace distill {

void StepReplay::run(Backend& backend, int64_t size, const std::function<void()>& step) {
    Recorded& recorded = recorded_[size];
    if (!recorded.replay) {
        backend.join();  // side streams are still out if the step before threw
        backend.arena().begin_step();
        if (recorded.warm) recorded.replay = backend.capture(step);
        if (!recorded.replay) step();
        recorded.warm = true;
    }
    if (recorded.replay) recorded.replay->run();
    backend.pace();
}

PreparationPhase::PreparationPhase(Backend& backend, Loader& loader, Preparation preparation, const Options& options, std::string name)
    : backend_(backend), loader_(loader), preparation_(std::move(preparation)), options_(options), name_(std::move(name)) {
    if (preparation_.epochs == 0) return;
    const auto rate = static_cast<float>(options.lr);
    lr_ = Tensor::from_host(backend, {}, {rate});
    sum_ = Tensor::zeros(backend, {});
}

bool PreparationPhase::ended() const {
    return epoch_ >= preparation_.epochs || (options_.max_steps > 0 && steps_made_ >= options_.max_steps);
}

void PreparationPhase::queue_step(int64_t images) {
    const Batch batch = loader_.train_batch(images);
    Var loss;
    {
        const Recording on(&tape_);
        loss = preparation_.step(batch);
    }
    Parameters& parameters = *preparation_.parameters;
    parameters.begin_backward();
    tape_.backward(loss);
    sgd_step(parameters, lr_, {static_cast<float>(options_.momentum), static_cast<float>(options_.weight_decay), options_.nesterov});
    accumulate_scalar(sum_, loss.value(), static_cast<float>(images));
    loader_.advance();
}

double PreparationPhase::mean_loss() const {
    double images = 0;
    for (int64_t step = 0; step < step_; ++step) images += static_cast<double>(loader_.batch_size(step));
    const double mean = static_cast<double>(sum_.item()) / images;
    if (!std::isfinite(mean))
        failure("preparation, epoch ", epoch_, " (counted from 0): ", preparation_.loss, " is ", mean, "; try a smaller --lr");
    return mean;
}

void PreparationPhase::run(const RunFolder& folder, const std::function<void()>& save_checkpoint) {
    using Clock = std::chrono::steady_clock;
    if (ended()) return;
    CsvWriter rows = folder.table("preparation.csv", {"epoch", "lr", preparation_.loss, "seconds"}, epoch_ > 0 || step_ > 0,
                                  static_cast<size_t>(epoch_));
    auto saved = Clock::now(), before = saved;
    const auto count_seconds = [&] {
        const auto now = Clock::now();
        seconds_ += std::chrono::duration<double>(now - before).count();
        before = now;
    };
    while (!ended()) {
        loader_.begin_epoch(static_cast<int>(epoch_), step_);
        if (step_ == 0) sum_.zero();
        while (step_ < loader_.steps_per_epoch() && !ended()) {
            const int64_t images = loader_.batch_size(step_);
            replay_.run(backend_, images, [&] { queue_step(images); });
            ++step_;
            ++steps_made_;
            count_seconds();
            if (interruption()) {
                save_checkpoint();
                throw Interrupted(text("interrupted in epoch ", epoch_, " of the preparation after step ", step_,
                                       "; go on with --resume --run ", folder.path().string()));
            }
            constexpr double checkpoint_seconds = 120;  // as the trainer
            if (std::chrono::duration<double>(Clock::now() - saved).count() > checkpoint_seconds) save_checkpoint(), saved = Clock::now();
        }
        const double mean = mean_loss();
        count_seconds();
        rows.row({std::to_string(epoch_), number(options_.lr), number(mean), number(seconds_ - seconds_before_epoch_)});
        if (!options_.quiet)
            std::printf("%s%spreparation %lld/%d  %s %.4f\n", name_.c_str(), name_.empty() ? "" : ": ", static_cast<long long>(epoch_) + 1,
                        preparation_.epochs, preparation_.loss.c_str(), mean);
        std::fflush(stdout);
        ++epoch_;
        step_ = 0;
        if (Tensor momenta = preparation_.parameters->momenta(); ended()) momenta.zero();  // they may be the student's: it begins afresh
        seconds_before_epoch_ = seconds_;
        save_checkpoint();
    }
}

void PreparationPhase::keep_in(Checkpoint& c) const {
    if (preparation_.epochs == 0) return;
    const Parameters& p = *preparation_.parameters;
    c.floats["preparation.values"] = host(p.values());
    c.floats["preparation.momenta"] = host(p.momenta());
    c.floats["preparation.buffers"] = host(p.buffers());
    c.floats["preparation.sum"] = host(sum_);
    c.counters["preparation.epoch"] = epoch_;
    c.counters["preparation.step"] = step_;
    c.counters["preparation.steps_made"] = steps_made_;
    c.text["preparation.seconds"] = number(seconds_);
    c.text["preparation.seconds_before_epoch"] = number(seconds_before_epoch_);
}

void PreparationPhase::take_from(const Checkpoint& c, const std::filesystem::path& path) {
    if (preparation_.epochs == 0) return;
    const Parameters& p = *preparation_.parameters;
    restore(p.values(), c, "preparation.values", path);
    p.values_changed();
    restore(p.momenta(), c, "preparation.momenta", path);
    restore(p.buffers(), c, "preparation.buffers", path);
    restore(sum_, c, "preparation.sum", path);
    epoch_ = c.counters.at("preparation.epoch");
    step_ = c.counters.at("preparation.step");
    steps_made_ = c.counters.at("preparation.steps_made");
    seconds_ = std::stod(c.text.at("preparation.seconds"));
    seconds_before_epoch_ = std::stod(c.text.at("preparation.seconds_before_epoch"));
}

}  // namespace distill
