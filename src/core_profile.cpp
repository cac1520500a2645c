#include "core_profile.h"

#include <cxxabi.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <regex>

#include "base_csv.h"
#include "base_files.h"
#include "base_stats.h"

namespace distill {
namespace {

/// For a backend that does its work when told to.
class HostStopwatch final : public Stopwatch {
    using Clock = std::chrono::steady_clock;

  public:
    void restart() override { marks_.clear(); }
    size_t mark() override {
        marks_.push_back(Clock::now());
        return marks_.size() - 1;
    }
    double ms_between(size_t earlier, size_t later) override {
        return std::chrono::duration<double, std::milli>(marks_[later] - marks_[earlier]).count();
    }

  private:
    std::vector<Clock::time_point> marks_;
};

std::unique_ptr<Stopwatch> stopwatch_of(Backend& backend) {
    std::unique_ptr<Stopwatch> own = backend.stopwatch();
    return own ? std::move(own) : std::make_unique<HostStopwatch>();
}

/// The backend's profiler for as long as this lives.
struct Attached {
    Backend& backend;
    Attached(Backend& device, Profiler& profiler) : backend(device) { backend.profiler = &profiler; }
    ~Attached() { backend.profiler = nullptr; }
};

/// A functor's name as its author wrote it: without namespaces (the anonymous one has a name of its own under nvcc).
std::string readable(const char* name) {
    const std::unique_ptr<char, void (*)(void*)> words(abi::__cxa_demangle(name, nullptr, nullptr, nullptr), std::free);
    return words ? std::regex_replace(words.get(), std::regex(R"((\(anonymous namespace\)|[A-Za-z_]\w*)::)"), "") : name;
}

int64_t bytes(const Conv2dGeometry& g, int64_t elements) { return elements * bytes_of(g.type); }

}  // namespace

Profiler::Profiler(Backend& backend) : backend_(backend), watch_(stopwatch_of(backend)) {}

void Profiler::begin(const char* name, const OperationWork& work) {
    if (depth_++ == 0) operations_.push_back({name, nullptr, work, watch_->mark(), 0, {}});
}

void Profiler::take_way(const char* way, int64_t multiply_accumulates) {
    if (depth_ == 0) return;
    operations_.back().way = way;
    operations_.back().work.multiply_accumulates = multiply_accumulates;
}

void Profiler::add_part(const char* part, double ms) {
    if (depth_ > 0) operations_.back().parts.emplace_back(part, ms);
}

void Profiler::end() {
    if (--depth_ == 0) operations_.back().end = watch_->mark();
}

void Profiler::measure(const std::function<void()>& step) {
    operations_.clear();
    watch_->restart();
    const size_t first = watch_->mark();
    {
        const Attached here(backend_, *this);
        step();
    }
    const size_t last = watch_->mark();

    const size_t steps_before = steps_ms_.size();
    double inside = 0;
    for (const Operation& o : operations_) {
        Sums& s = sums_[o.way ? readable(o.name) + " " + o.way : readable(o.name)];
        const double ms = watch_->ms_between(o.begin, o.end);
        s.ms.resize(steps_before + 1);
        s.ms.back() += ms;
        ++s.calls;
        s.work.bytes += o.work.bytes;
        s.work.multiply_accumulates += o.work.multiply_accumulates;
        for (const auto& [part, part_ms] : o.parts) {
            std::vector<double>& part_of_steps = s.part(part);
            part_of_steps.resize(steps_before + 1);
            part_of_steps.back() += part_ms;
        }
        inside += ms;
    }
    steps_ms_.push_back(watch_->ms_between(first, last));
    between_ms_.push_back(steps_ms_.back() - inside);
}

std::vector<double>& Profiler::Sums::part(const std::string& name) {
    for (auto& [known, times] : parts)
        if (known == name) return times;
    return parts.emplace_back(name, std::vector<double>()).second;
}

std::vector<Profiler::Group> Profiler::groups() const {
    std::vector<Group> all;
    const auto steps = static_cast<int64_t>(steps_ms_.size());
    for (const auto& [name, s] : sums_) {
        all.push_back({name, s.calls / steps, median(s.ms), {s.work.bytes / steps, s.work.multiply_accumulates / steps}, {}});
        double left = all.back().ms;
        for (const auto& [part, ms] : s.parts) {
            all.back().parts.emplace_back(part, median(ms));
            left -= all.back().parts.back().second;
        }
        if (!s.parts.empty()) all.back().parts.emplace_back("waiting", std::max(0.0, left));
    }
    std::sort(all.begin(), all.end(), [](const Group& a, const Group& b) { return a.ms > b.ms; });
    int64_t calls = 0;
    for (const Group& g : all) calls += g.calls;
    all.push_back({"between operations", 0, median(between_ms_), {}, {}});
    all.push_back({"whole step", calls, median(steps_ms_), {}, {}});
    return all;
}

OperationWork forward_work(const Conv2dGeometry& g, const ConvEpilogue& epilogue) {
    const int64_t maps = g.x.size() + g.w.size() + g.y.size() * (epilogue.residual ? 2 : 1);
    return {bytes(g, maps), g.multiply_accumulates()};
}
OperationWork backward_data_work(const Conv2dGeometry& g, bool add) {
    return {bytes(g, g.y.size() + g.w.size() + g.x.size() * (add ? 2 : 1)), g.multiply_accumulates()};
}
OperationWork backward_weights_work(const Conv2dGeometry& g) {
    return {bytes(g, g.x.size() + g.y.size()) + g.w.size() * int64_t{sizeof(float)}, g.multiply_accumulates()};
}

// Per channel next to nothing is moved. A map read by two passes counts once: the second may find it in a cache.
OperationWork work_of(const BatchNormShape& s, const BatchNormForward& b) {
    return {s.rows * s.channels * bytes_of(s.type) * (b.residual ? 3 : 2), 0};
}
OperationWork work_of(const BatchNormShape& s, const BatchNormBackward& b) {
    return {s.rows * s.channels * bytes_of(s.type) * (3 + (s.relu && !b.beta ? 1 : 0) + (b.dresidual ? 1 : 0)), 0};
}
OperationWork work_of(const GemmShape& s) {
    return {s.count * (s.m * s.k + s.k * s.n + s.m * s.n) * int64_t{sizeof(float)}, s.count * s.m * s.n * s.k};
}

void print_profile(const std::vector<Profiler::Group>& groups, const DeviceSpeed& speed) {
    size_t width = 0;
    for (const auto& g : groups) width = std::max(width, g.name.size());
    std::printf("  %-*s calls        ms   share       MiB  bound ms    times      GMAC  bound ms    times\n", static_cast<int>(width),
                "group");
    const auto bound = [](double amount, double unit, double per_ms, double ms) {
        if (amount > 0)
            std::printf("%10.2f%10.3f%8.1fx", amount / unit, amount / per_ms, ms * per_ms / amount);
        else
            std::printf("%10s%10s%9s", "-", "-", "-");
    };
    for (const auto& g : groups) {
        std::printf("  %-*s %5lld%10.3f%7.1f%%", static_cast<int>(width), g.name.c_str(), static_cast<long long>(g.calls), g.ms,
                    100 * g.ms / groups.back().ms);
        bound(static_cast<double>(g.work.bytes), 1 << 20, speed.bytes_per_ms, g.ms);
        bound(static_cast<double>(g.work.multiply_accumulates), 1e9, speed.multiply_accumulates_per_ms, g.ms);
        std::printf("\n");
        for (const auto& [part, ms] : g.parts)
            std::printf("    %-*s       %10.3f%7.1f%%\n", static_cast<int>(width) - 2, part.c_str(), ms, 100 * ms / groups.back().ms);
    }
}

void write_profile(const std::string& path, const std::vector<Profiler::Group>& groups, const DeviceSpeed& speed) {
    std::vector<std::vector<std::string>> rows;
    for (const auto& g : groups) {
        const auto [moved, computed] = g.work;
        const auto known = [](int64_t amount, double value) { return amount ? number(value) : ""; };
        rows.push_back({g.name, std::to_string(g.calls), number(g.ms), number(g.ms / groups.back().ms),
                        known(moved, static_cast<double>(moved)), known(computed, static_cast<double>(computed)),
                        known(moved, static_cast<double>(moved) / speed.bytes_per_ms),
                        known(computed, static_cast<double>(computed) / speed.multiply_accumulates_per_ms)});
        for (const auto& [part, ms] : g.parts)
            rows.push_back({g.name + ": " + part, "", number(ms), number(ms / groups.back().ms), "", "", "", ""});
    }
    write_file_atomically(path, csv_text({"group", "calls", "ms", "share", "bytes", "macs", "bound_ms_bytes", "bound_ms_flops"}, rows));
}

}  // namespace distill
