// net_parameters.h: the named weights of a network (and of a method's helper modules), flat in memory.
// defines: Init, Layout, Segment, Updates, Parameters
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base_weights.h"
#include "op_autograd.h"

namespace distill {

/// How an element starts: a constant, U(−bound, bound), or N(0, std²); drawn from (start key, network, name, index) alone.
struct Init {
    enum class Kind { constant, uniform, normal } kind;
    float value;
    static Init constant(float v) { return {Kind::constant, v}; }
    static Init uniform(float bound) { return {Kind::uniform, bound}; }
    static Init normal(float std) { return {Kind::normal, std}; }
};

/// How a parameter lies in a weight file (PyTorch's order); in memory it is always a Shape.
enum class Layout { convolution /* O,I,kh,kw from (K,R,S,C) */, matrix /* O,I from (O,1,1,I) */, vector /* C from (1,1,1,C) */ };

/// Where a parameter lies in values(), gradients() and momenta(): elements offset … offset + size − 1.
struct Segment {
    int64_t offset, size;
};

/// What draws of a training step hang on: the key that the weights started from, and how often they were updated since, one float in
/// device memory (exact up to 2²⁴).
struct Updates {
    uint64_t start = 0;
    Tensor count;
};

/// Modules register what they need by name; allocate() then places all values in one buffer, all gradients in a second, all momenta in
/// a third, in order of registration, so that an optimiser step is one launch. Buffers (running statistics) lie apart. All of them are
/// float; where the backend's activations are bfloat16, a rounded copy of the values lies beside them for convolutions to read.
class Parameters {
  public:
    explicit Parameters(Backend& backend, bool trainable = true) : backend_(&backend), trainable_(trainable) {}

    Var add(const std::string& name, Shape shape, Layout layout, Init init);
    Var add_buffer(const std::string& name, Shape shape, float value);
    /// A table of rows (n,1,1,C) that a method changes by rules of its own, drawn as a parameter is.
    Var add_table(const std::string& name, Shape shape, Init init);
    /// Says of what is added from now on which network it is of; "" is a method's helper modules. Start weights hang on it. Returns the
    /// name before.
    std::string belongs_to(const std::string& network);
    /// Asks that updates are counted (before allocate()): Optimizer and sgd_step do it, and the count lies behind the buffers, so that a
    /// checkpoint has it and a weight file has not.
    std::shared_ptr<const Updates> count_updates();
    /// `start`: Options::start().
    void allocate(uint64_t start);

    Backend& backend() const { return *backend_; }
    bool trainable() const { return trainable_; }
    /// Weights under `prefix`, buffers not counted.
    int64_t count(const std::string& prefix = "") const;
    std::vector<Segment> segments(const std::string& prefix = "") const;  ///< of every parameter under it, in order; buffers are none
    /// Of the parameters that have a gradient since begin_backward(), neighbours as one.
    std::vector<Segment> reached() const;
    const Tensor& values() const { return require_memory(), values_; }
    const Tensor& gradients() const { return gradients_; }
    const Tensor& momenta() const { return momenta_; }
    const Tensor& buffers() const { return buffers_; }
    const Updates* updates() const { return updates_.get(); }  ///< null: nobody asked
    const Tensor& rounded() const { return rounded_; }         ///< undefined unless the backend's activations are bfloat16
    /// To be called by whoever wrote into values(): the rounded copy follows. (Optimizer, sgd_step and from_file do it themselves.)
    void values_changed() const;

    /// Empties the gradients and aims the next backward() at them; the second form aims at another buffer of the same size, so that
    /// two losses of one step can be kept apart.
    void begin_backward() { begin_backward(gradients_); }
    void begin_backward(const Tensor& into);

    /// The parameter or buffer that lies in this memory; "" if none does.
    std::string name_of(const Tensor& tensor) const;
    /// Those under `prefix` as a file has them, names without the prefix.
    std::map<std::string, HostTensor> to_file(const std::string& prefix = "") const;
    /// Their shapes there.
    std::map<std::string, std::vector<int64_t>> file_shapes(const std::string& prefix = "") const;
    /// Sets those under `prefix` from a file's names. InputError listing what is missing, what is left over, or whose shape differs, and
    /// what the file `may_be` ("; …"); nothing is changed then.
    void from_file(const WeightFile& file, const std::string& path, const std::string& prefix = "", const std::string& may_be = "");

  private:
    struct Entry {
        std::string name, network;
        Shape shape;
        Layout layout;
        Init init;
        bool buffer;
        int64_t offset;
        Var var;
    };
    Var add(Entry entry);
    void require_memory() const;  ///< a failure where allocate() was not called, or before the last module was registered
    Backend* backend_;
    bool trainable_;
    std::vector<Entry> entries_;
    std::set<std::string> names_;
    std::string network_;
    int64_t value_count_ = 0, buffer_count_ = 0;
    Tensor values_, gradients_, momenta_, buffers_, rounded_;
    std::shared_ptr<Updates> updates_;
};

}  // namespace distill
