// core_profile.h: where a training step's time goes: its operations timed one by one on their device, summed by name.
// defines: OperationWork, Profiler, Profiled, work_of, forward_work, backward_data_work, backward_weights_work, DeviceSpeed,
//          print_profile, write_profile, profile_begins
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

#include "core_backend.h"

namespace distill {

/// What an operation cannot do without: each operand moved once, and its multiply-accumulates. 0: not known.
struct OperationWork {
    int64_t bytes = 0, multiply_accumulates = 0;
};

/// Times the operations of whole steps. While measure() runs, the backend knows its profiler, and every operation reports itself.
class Profiler {
  public:
    struct Group {
        std::string name;
        int64_t calls = 0;  ///< of one step, as all that follows
        double ms = 0;      ///< median over the steps
        OperationWork work;
        std::vector<std::pair<std::string, double>> parts;  ///< name and ms, if its operations tell; the last is what they leave
    };

    explicit Profiler(Backend& backend);
    /// Runs one step and adds it. The step must do its operations here and now (no captured graph).
    void measure(const std::function<void()>& step);
    /// The groups, the longest first; then what lay between operations, and at the end the whole step (its work is the caller's to say).
    std::vector<Group> groups() const;

    void begin(const char* name, const OperationWork& work);
    /// Of the running operation, if there is one: it goes a way that makes so many multiply-accumulates, in a group of its own,
    /// "<name> <way>". `way`: a literal.
    void take_way(const char* way, int64_t multiply_accumulates);
    /// Of the running operation, if there is one: a part of its time, of several threads' the mean. `part`: a literal.
    void add_part(const char* part, double ms);
    void end();

  private:
    struct Operation {
        const char *name, *way;  ///< way: may be null
        OperationWork work;
        size_t begin, end;
        std::vector<std::pair<const char*, double>> parts;
    };
    struct Sums {
        std::vector<double> ms;                                          ///< a step each
        std::vector<std::pair<std::string, std::vector<double>>> parts;  ///< likewise, as they came first
        std::vector<double>& part(const std::string& name);
        int64_t calls = 0;   ///< of all steps
        OperationWork work;  ///< of all steps
    };
    Backend& backend_;
    std::unique_ptr<Stopwatch> watch_;
    std::vector<Operation> operations_;  ///< of the running step
    int depth_ = 0;                      ///< an operation within another is part of it
    std::map<std::string, Sums> sums_;
    std::vector<double> steps_ms_, between_ms_;
};

/// One operation, as long as it lives; without a profiler a test of a pointer. `name`: a literal, or a type's.
class Profiled {
  public:
    Profiled(Backend& backend, const char* name, const OperationWork& work) : profiler_(backend.profiler) {
        if (profiler_) profiler_->begin(name, work);
    }
    ~Profiled() {
        if (profiler_) profiler_->end();
    }
    Profiled(const Profiled&) = delete;
    Profiled& operator=(const Profiled&) = delete;

  private:
    Profiler* profiler_;
};

/// Of `calls` elements or rows of a functor (launch.h) that may say what one moves: int64_t moved_bytes() const.
template <class F>
auto work_of(const F& f, int64_t calls, int) -> decltype(OperationWork{f.moved_bytes(), 0}) {
    return {calls * f.moved_bytes(), 0};
}
template <class F>
OperationWork work_of(const F&, int64_t, long) {
    return {};
}
template <class F>
OperationWork work_of(const F& f, int64_t calls) {
    return work_of(f, calls, 0);
}

/// What the operations of core_backend.h have to move and to compute.
OperationWork forward_work(const Conv2dGeometry& g, const ConvEpilogue& epilogue);
OperationWork backward_data_work(const Conv2dGeometry& g, bool add);
OperationWork backward_weights_work(const Conv2dGeometry& g);
OperationWork work_of(const BatchNormShape& s, const BatchNormForward& b);
OperationWork work_of(const BatchNormShape& s, const BatchNormBackward& b);
OperationWork work_of(const GemmShape& s);

struct DeviceSpeed {
    double bytes_per_ms, multiply_accumulates_per_ms;
};
/// A table on standard output, and the same as CSV (group,calls,ms,share,bytes,macs,bound_ms_bytes,bound_ms_flops; empty: not known).
/// A group's parts follow it, "<group>: <part>" in the CSV; their time is the group's.
/// The last group is the whole step, of which the others have their share.
void print_profile(const std::vector<Profiler::Group>& groups, const DeviceSpeed& speed);
void write_profile(const std::string& path, const std::vector<Profiler::Group>& groups, const DeviceSpeed& speed);
inline const char* const profile_begins = "group,calls,ms,share,";  ///< every such CSV

}  // namespace distill
