#include "bench_training.h"

#include <cmath>

#include "base_csv.h"
#include "base_error.h"
#include "base_files.h"
#include "base_output_file.h"
#include "core_conv_plan_store.h"
#include "core_philox.h"
#include "device.h"
#include "method_features.h"
#include "method_ktg.h"

namespace distill {
namespace {

/// A batch's worth of random bytes, normalised to mean 0 and deviation 1; again and again where there are to be more records.
Dataset random_images(const BenchOptions& o) {
    Dataset d;
    d.name = "random images";
    d.height = d.width = o.size;
    d.classes = o.classes;
    d.train.records = std::max(o.training.batch, o.records);
    const auto batch_bytes = static_cast<size_t>(o.training.batch * 3 * o.size * o.size);
    d.train.pixels.resize(static_cast<size_t>(d.train.records * 3 * o.size * o.size));
    d.train.labels.resize(static_cast<size_t>(d.train.records));
    const uint64_t key = random_key(o.training.seed, Purpose::bench);
    for (size_t i = 0; i < d.train.pixels.size(); ++i)
        d.train.pixels[i] = i < batch_bytes ? static_cast<uint8_t>(philox(key, i).v[0] >> 24) : d.train.pixels[i - batch_bytes];
    for (size_t i = 0; i < d.train.labels.size(); ++i)
        d.train.labels[i] = static_cast<int32_t>(philox(key, i, 1).v[0] % static_cast<uint32_t>(o.classes));
    std::fill(d.stats.mean, d.stats.mean + 3, 127.5f);
    std::fill(d.stats.std, d.stats.std + 3, 73.9f);  // of bytes that are all equally likely
    return d;
}

LoaderOptions loader_options(const BenchOptions& o, const Normalization& normalization) {
    LoaderOptions l;
    l.batch = o.training.batch;
    l.start = o.training.start();
    l.augmentation.crop_flip = o.augment;
    l.normalization = normalization;
    return l;
}

/// Running statistics for random weights: without them their features explode in evaluation mode.
void settle(const Network& network, const Batch& batch) {
    for (int pass = 0; pass < 10; ++pass) network.forward(batch.images, Mode::train);
}

}  // namespace

void read_bench_graph(KtgOptions& own) {
    own.graph = named_graph(own);
    for (GraphNode& node : own.graph.nodes) node.weights.clear();
}

BenchTraining::BenchTraining(const BenchOptions& o) : BenchTraining(o, random_images(o)) {}

BenchTraining::BenchTraining(const BenchOptions& o, const Dataset& data)
    : backend_(make_backend(o.training.device, device_options(o.training))),
      loader_(*backend_, data, loader_options(o, data.stats)),
      augment_(o.augment) {
    for (int i = 0; i < o.teachers && !o.training.teacher.empty(); ++i)
        teachers_.push_back(std::make_unique<Teacher>(*backend_, o.training, o.classes, i + 1));
    recall_machine_conv_plans(*backend_);
    if (const MethodRow* row = find_method(o.method)) {
        const Setting setting{*backend_,         {1, data.height, data.width, 3}, o.classes, data.train.records, pointers(teachers_),
                              &data.train.labels};
        method_ = (o.own ? o.own : choose(*row).options)->make(setting, o.training);
    }
    loader_.begin_epoch(0);
    batch_ = loader_.train_batch(o.training.batch);
    for (const auto& teacher : teachers_) settle(teacher->network(), batch_);
    if (!method_) return;
    for (const PretrainedNetwork& frozen : method_->pretrained()) settle(frozen.network, batch_);
    method_->begin_epoch(o.training.epochs);  // the full weight of the transfer loss
    constexpr double rate = 0.01;
    optimizer_.emplace(method_->parameters(), SgdOptions(), method_->groups({}));
    optimizer_->set_rates(rate, 0);
}

int BenchTraining::phases_epochs() const {
    int epochs = 0;
    for (const Phase& phase : method_->phases()) epochs += phase.epochs;
    return epochs;
}

void BenchTraining::step() {
    backend_->begin_step();
    queue();
}

void BenchTraining::record() {
    backend_->begin_step();
    replay_ = backend_->capture([&] { queue(); });
    keep_machine_conv_plans(*backend_);
}

void BenchTraining::require_finite() const {
    if (loss_.defined() && !std::isfinite(loss_.item()))
        failure("bench: the loss is ", loss_.item(), "; the time of such steps says nothing");
}

void BenchTraining::queue() {
    const Batch batch = augment_ ? loader_.train_batch(batch_.size()) : batch_;
    if (!method_) {
        answers_of(pointers(teachers_), batch.images, Keep::last).get();
        return;
    }
    StepResult r;
    {
        const Recording on(&tape_);
        r = method_->step(batch);
    }
    method_->backward(tape_, r);
    optimizer_->step();
    loss_ = r.loss.value();
}

std::vector<double> ms_in_turns(const std::vector<std::unique_ptr<BenchTraining>>& timed, int warmup, int steps) {
    std::vector<std::vector<double>> times(timed.size());
    for (const auto& t : timed) t->step(), t->record();
    for (int round = 0; round < warmup + steps; ++round)
        for (size_t i = 0; i < timed.size(); ++i) {
            const double ms = time_ms(timed[i]->backend(), [&] { timed[i]->replay(); });
            if (round >= warmup) times[i].push_back(ms);
        }
    for (const auto& t : timed) t->require_finite();
    std::vector<double> medians;
    for (const auto& t : times) medians.push_back(median(t));
    return medians;
}

void require_csv(const std::string& path, const std::vector<std::string>& columns) {
    require_output("--csv", path, csv_text(columns, {}), "table of this benchmark");
}

void put_csv(const std::string& path, const std::vector<std::string>& columns, const std::vector<std::vector<std::string>>& rows) {
    if (!path.empty()) write_file_atomically(path, csv_text(columns, rows));
}

}  // namespace distill
