#include "bench_feed.h"

#include <cstdio>

#include "base_csv.h"
#include "base_error.h"
#include "device.h"
#include "method_feed.h"
#include "net_table.h"
#include "train_step_replay.h"

namespace distill {
namespace {

constexpr double mib = 1 << 20;

double arena_mib(Backend& backend) { return static_cast<double>(backend.arena().system_bytes()) / mib; }

/// The last map of a network for the benchmark's images.
Shape last_map(Backend& backend, const std::string& network, const BenchOptions& o) {
    Parameters parameters(backend, false);
    const auto net = make_network(network, o.classes, parameters);
    Shape map = net->stage_shape(net->stages().size() - 1, {1, o.size, o.size, 3});
    map.n = o.training.batch;
    return map;
}

/// FEED's transformation layers by themselves: forward and back, to their weights and to the student's map, which is given.
class LayersAlone {
  public:
    explicit LayersAlone(const BenchOptions& o)
        : backend_(make_backend(o.training.device, device_options(o.training))), parameters_(*backend_) {
        const auto elsewhere = make_backend(o.training.device, device_options(o.training));  // a network would count as memory here
        const Shape in = last_map(*elsewhere, o.training.student, o), out = last_map(*elsewhere, o.training.teacher, o);
        for (int n = 0; n < o.teachers; ++n)
            layers_.emplace_back(parameters_, "ntl." + std::to_string(n), in.c, out.c, out.c, FeedOptions().ntl_depth,
                                 static_cast<float>(FeedOptions().ntl_slope));
        parameters_.allocate(o.training.start());
        map_ = Tensor(*backend_, in, backend_->activation_type());
        std::vector<float> values(static_cast<size_t>(in.size()));
        for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 7) * 0.25f;
        map_.upload(values.data());
    }
    void step() {
        replay_.run(*backend_, map_.shape().n, [this] { queue(); });
    }
    Backend& backend() { return *backend_; }

  private:
    void queue() {
        const Var map(map_, true);
        Var sum;
        {
            const Recording on(&tape_);
            for (const ConvChain& layer : layers_) {
                const Var one = mean(layer(map));
                sum = sum.defined() ? add(sum, one) : one;
            }
        }
        parameters_.begin_backward();
        tape_.backward(sum);
    }

    std::unique_ptr<Backend> backend_;
    Parameters parameters_;
    std::vector<ConvChain> layers_;
    Tensor map_;
    Tape tape_;
    StepReplay replay_;
};

BenchOptions as(BenchOptions o, const std::string& method, int teachers) {
    if (method != o.method) o.own = nullptr;
    o.method = method;
    o.teachers = teachers;
    return o;
}

/// What a step of it holds on to, once it makes no new requests.
template <class Steps>
double memory_of(Steps&& steps) {
    for (int i = 0; i < 3; ++i) steps.step();
    return arena_mib(steps.backend());
}

struct Memory {
    std::vector<double> added;  ///< MiB, by the first, second, … teacher
    double weights = 0, layer = 0, map = 0, scratch = 0, whole = 0;
    double allowed() const { return weights + layer + map + scratch; }
};

Memory measure_memory(const BenchOptions& o) {
    Memory m;
    double before = memory_of(BenchTraining(as(o, "train", 0)));
    for (int n = 1; n <= o.teachers; ++n) {
        m.whole = memory_of(BenchTraining(as(o, "feed", n)));
        m.added.push_back(m.whole - before);
        before = m.whole;
    }
    m.layer = memory_of(LayersAlone(as(o, "", 2))) - memory_of(LayersAlone(as(o, "", 1)));
    const auto backend = make_backend(o.training.device, device_options(o.training));
    const double empty = arena_mib(*backend);
    const Teacher teacher(*backend, o.training, o.classes);
    m.weights = arena_mib(*backend) - empty;
    const auto elsewhere = make_backend(o.training.device, device_options(o.training));
    m.map = static_cast<double>(last_map(*elsewhere, o.training.teacher, o).size() * bytes_of(backend->activation_type())) / mib;
    const Tensor images(*backend, {o.training.batch, o.size, o.size, 3}, backend->activation_type());
    const double still = arena_mib(*backend);
    teacher(Var(images)).get();
    m.scratch = arena_mib(*backend) - still - m.map;
    return m;
}

}  // namespace

void bench_feed(BenchOptions o) {
    const std::vector<std::string> columns{"case",         "device",          "precision",   "batch",     "ms_per_step",
                                           "images_per_s", "ms_plain",        "ms_teachers", "ms_layers", "ratio",
                                           "memory_mib",   "mib_per_teacher", "mib_allowed"};
    require_csv(o.csv, columns);
    BenchTraining plain(as(o, "train", 0)), teachers(as(o, "teacher", o.teachers)), whole(as(o, "feed", o.teachers));
    LayersAlone layers(o);
    for (BenchTraining* t : {&plain, &teachers, &whole}) t->step(), t->record();
    for (int i = 0; i < 2; ++i) layers.step();
    std::vector<double> plain_ms, teachers_ms, layers_ms, whole_ms;
    for (int round = 0; round < o.warmup + o.steps; ++round) {
        const double times[] = {time_ms(plain.backend(), [&] { plain.replay(); }), time_ms(teachers.backend(), [&] { teachers.replay(); }),
                                time_ms(layers.backend(), [&] { layers.step(); }), time_ms(whole.backend(), [&] { whole.replay(); })};
        if (round < o.warmup) continue;
        size_t i = 0;
        for (std::vector<double>* all : {&plain_ms, &teachers_ms, &layers_ms, &whole_ms}) all->push_back(times[i++]);
    }
    plain.require_finite();
    whole.require_finite();
    constexpr double plain_share = 1.15;  // what the student's own part may cost of its plain step
    const double bound = median(teachers_ms) + plain_share * median(plain_ms) + median(layers_ms), ms = median(whole_ms);
    const Memory m = measure_memory(o);

    const std::string name = text("feed ", o.teachers, " x ", o.training.teacher, "->", o.training.student);
    const double images = 1000.0 * static_cast<double>(o.training.batch) / ms;
    std::printf("%s, batch %lld, %s, %s\n", name.c_str(), static_cast<long long>(o.training.batch), o.training.precision.c_str(),
                whole.backend().description().c_str());
    std::printf("  %.2f ms/step, %.0f images/s (median of %d rounds)\n", ms, images, o.steps);
    std::printf("  in turns with it: student plain %.2f ms, teachers forward %.2f ms, layers forward and back %.2f ms\n", median(plain_ms),
                median(teachers_ms), median(layers_ms));
    std::printf("  ratio to teachers + %.2f plain + layers (%.2f ms): %.3f\n", plain_share, bound, ms / bound);
    std::printf("  memory %.1f MiB; a teacher adds", m.whole);
    double most = 0;
    for (const double added : m.added) std::printf(" %.2f", added), most = std::max(most, added);
    std::printf(" MiB (the first … the last)\n");
    std::printf("  it may add %.2f MiB: weights %.2f, layer %.2f, map %.2f, scratch of a forward pass %.2f\n", m.allowed(), m.weights,
                m.layer, m.map, m.scratch);
    put_csv(o.csv, columns,
            {{name, device_name(whole.backend()), o.training.precision, std::to_string(o.training.batch), number(ms), number(images),
              number(median(plain_ms)), number(median(teachers_ms)), number(median(layers_ms)), number(ms / bound), number(m.whole),
              number(most), number(m.allowed())}});
}

}  // namespace distill
