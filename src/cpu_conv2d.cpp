// Convolution on the CPU by oneDNN. Activations stay N,H,W,C: measured on AVX-512 (two Zen 5 cores, resnet20's shapes, batch 128)
// oneDNN's NHWC kernels take 59 ms a step, its own blocked layouts 61 ms. Two exceptions, both prepared here once per geometry:
// weights are reordered from K,R,S,C to what the kernel wants (small), and an input of fewer than 16 channels (the image itself) goes
// through the layout oneDNN prefers (0.26 ms instead of 1.43 ms for the stem). Both maps then: where one of them alone is free, oneDNN
// takes no kernel but its reference, silently (12 to 72 channels: 40 ms instead of 0.2).
#include "cpu_conv2d.h"

#include <omp.h>

#include <dnnl.hpp>
#include <optional>
#include <unordered_map>

#include "base_error.h"
#include "base_texts.h"
#include "core_profile.h"
#include "core_work_count.h"
#include "cpu_one_thread.h"
#include "launch_conv_epilogue.h"

namespace distill {
namespace {

using dnnl::memory;
using Dims = memory::dims;
using Tag = memory::format_tag;
constexpr auto f32 = memory::data_type::f32;

const dnnl::engine& engine() {
    static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
    return cpu;
}
dnnl::stream& stream() {
    static thread_local dnnl::stream queue(engine());
    return queue;
}

memory::data_type data_type(DType type) { return type == DType::bf16 ? memory::data_type::bf16 : f32; }
memory::desc activation(const Shape& s, DType type, Tag tag) { return {{s.n, s.c, s.h, s.w}, data_type(type), tag}; }

Dims weight_dims(const Conv2dGeometry& g) {
    if (g.groups == 1) return {g.w.n, g.w.c, g.w.h, g.w.w};
    return {g.groups, g.w.n / g.groups, g.w.c, g.w.h, g.w.w};
}
/// Ours: K,R,S,C/groups, spelled out as strides so that groups fit too.
memory::desc our_weights(const Conv2dGeometry& g, DType type) {
    const int64_t c = 1, s = g.w.c, r = g.w.w * s, k = g.w.h * r;
    if (g.groups == 1) return {weight_dims(g), data_type(type), Dims{k, c, r, s}};
    return {weight_dims(g), data_type(type), Dims{g.w.n / g.groups * k, k, c, r, s}};
}
memory::desc any_weights(const Conv2dGeometry& g, DType type) { return {weight_dims(g), data_type(type), Tag::any}; }

/// One argument of a primitive: our memory, and, where the kernel wants another layout, a copy in that layout.
class Operand {
  public:
    Operand(const memory::desc& ours, const memory::desc& wanted) {
        // 16 channels: one block of 16 is the very same order of bytes as N,H,W,C.
        const Dims d = ours.dims();
        const bool same = wanted == ours || (d.size() == 4 && d[1] == 16 && wanted == memory::desc(d, ours.data_type(), Tag::nChw16c));
        ours_ = memory(same ? wanted : ours, engine(), nullptr);
        is_small_ = ours.get_size() < 256 * 1024;
        if (!same) wanted_ = memory(wanted, engine());
    }
    const memory& argument() const { return wanted_ ? *wanted_ : ours_; }
    void read(const void* p) {
        ours_.set_data_handle(const_cast<void*>(p));  // oneDNN has no const memory; inputs are only read
        if (!wanted_) return;
        if (!reorder_) reorder_ = dnnl::reorder(ours_, *wanted_);
        const OneThread alone(is_small_);
        reorder_->execute(stream(), ours_, *wanted_);
    }
    void aim(void* p) { ours_.set_data_handle(p); }
    void written() {
        if (!wanted_) return;
        if (!reorder_) reorder_ = dnnl::reorder(*wanted_, ours_);
        const OneThread alone(is_small_);
        reorder_->execute(stream(), *wanted_, ours_);
    }

  private:
    memory ours_;
    std::optional<memory> wanted_;
    std::optional<dnnl::reorder> reorder_;
    bool is_small_;  ///< as most weights are: rearranged before another thread would have begun
};

}  // namespace

class CpuConvolutions::Plan {
  public:
    Plan(const Conv2dGeometry& g, Direction direction, const ConvEpilogue& epilogue) {
        // The image layer: let oneDNN choose; everything else stays as it lies.
        const bool narrow = g.x.c < 16 && g.y.c % 16 == 0 && g.groups == 1;
        const auto x_any = activation(g.x, g.type, narrow ? Tag::any : Tag::nhwc);
        const auto y_any = activation(g.y, g.type, narrow ? Tag::any : Tag::nhwc);
        const auto w_any = any_weights(g, g.type), dw_any = any_weights(g, DType::f32);
        const auto x_ours = activation(g.x, g.type, Tag::nhwc), y_ours = activation(g.y, g.type, Tag::nhwc);
        const auto w_ours = our_weights(g, g.type), dw_ours = our_weights(g, DType::f32);
        const Dims strides{g.stride_h, g.stride_w}, padding{g.pad_h, g.pad_w};
        const auto algorithm = dnnl::algorithm::convolution_direct;
        const memory::desc bias_md({g.y.c}, f32, Tag::x);

        const auto kind = direction == Direction::forward ? dnnl::prop_kind::forward_inference : dnnl::prop_kind::forward_training;
        const dnnl::convolution_forward::desc description =
            epilogue.bias ? dnnl::convolution_forward::desc(kind, algorithm, x_any, w_any, bias_md, y_any, strides, padding, padding)
                          : dnnl::convolution_forward::desc(kind, algorithm, x_any, w_any, y_any, strides, padding, padding);
        const auto with_residual = [&](bool residual) {
            dnnl::primitive_attr attributes;
            dnnl::post_ops post;
            if (residual) post.append_binary(dnnl::algorithm::binary_add, y_ours);
            attributes.set_post_ops(post);
            return dnnl::convolution_forward::primitive_desc(description, attributes, engine());
        };
        dnnl::convolution_forward::primitive_desc forward = with_residual(epilogue.residual);
        if (epilogue.residual && !adds_residual_rightly(forward.impl_info_str())) {
            added_after_ = true;
            forward = with_residual(false);
        }

        if (direction == Direction::forward) {
            implementation_ = forward.impl_info_str();
            x_.emplace(x_ours, forward.src_desc());
            w_.emplace(w_ours, forward.weights_desc());
            y_.emplace(y_ours, forward.dst_desc());
            primitive_ = dnnl::convolution_forward(forward);
            arguments_ = {{DNNL_ARG_SRC, x_->argument()}, {DNNL_ARG_WEIGHTS, w_->argument()}, {DNNL_ARG_DST, y_->argument()}};
            if (epilogue.bias) bias_ = memory(bias_md, engine(), nullptr), arguments_.insert({DNNL_ARG_BIAS, bias_});
            if (epilogue.residual && !added_after_) {
                residual_ = memory(y_ours, engine(), nullptr);
                arguments_.insert({DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, residual_});
            }
        } else if (direction == Direction::backward_data) {
            const dnnl::convolution_backward_data::primitive_desc backward({algorithm, x_any, w_any, y_any, strides, padding, padding},
                                                                           engine(), forward);
            implementation_ = backward.impl_info_str();
            x_.emplace(x_ours, backward.diff_src_desc());
            w_.emplace(w_ours, backward.weights_desc());
            y_.emplace(y_ours, backward.diff_dst_desc());
            primitive_ = dnnl::convolution_backward_data(backward);
            arguments_ = {{DNNL_ARG_DIFF_SRC, x_->argument()}, {DNNL_ARG_WEIGHTS, w_->argument()}, {DNNL_ARG_DIFF_DST, y_->argument()}};
        } else {
            const dnnl::convolution_backward_weights::primitive_desc backward({algorithm, x_any, dw_any, y_any, strides, padding, padding},
                                                                              engine(), forward);
            implementation_ = backward.impl_info_str();
            x_.emplace(x_ours, backward.src_desc());
            w_.emplace(dw_ours, backward.diff_weights_desc());
            y_.emplace(y_ours, backward.diff_dst_desc());
            primitive_ = dnnl::convolution_backward_weights(backward);
            arguments_ = {{DNNL_ARG_SRC, x_->argument()}, {DNNL_ARG_DIFF_WEIGHTS, w_->argument()}, {DNNL_ARG_DIFF_DST, y_->argument()}};
        }
    }

    const std::string& implementation() const { return implementation_; }

    void forward(const Conv2dGeometry& g, const void* x, const void* w, const ConvEpilogue& epilogue, void* y) {
        x_->read(x);
        w_->read(w);
        y_->aim(y);
        if (epilogue.bias) bias_.set_data_handle(const_cast<float*>(epilogue.bias));
        if (epilogue.residual && !added_after_) residual_.set_data_handle(const_cast<void*>(epilogue.residual));
        primitive_.execute(stream(), arguments_);
        y_->written();
        // oneDNN's own ReLU, as a part of the convolution, makes 0 of NaN, and a network that is spoilt would look like a poor one.
        const ConvEpilogue rest{nullptr, added_after_ ? epilogue.residual : nullptr, epilogue.relu};
        if (rest.residual || rest.relu) conv_epilogue_here({g.y.n, 1, 1, g.y.per_sample()}, g.type, rest, y);  // an image a row
    }
    void backward_data(const void* dy, const void* w, void* dx) {
        y_->read(dy);
        w_->read(w);
        x_->aim(dx);
        primitive_.execute(stream(), arguments_);
        x_->written();
    }
    void backward_weights(const void* x, const void* dy, float* dw) {
        x_->read(x);
        y_->read(dy);
        w_->aim(dw);
        primitive_.execute(stream(), arguments_);
        w_->written();
    }

  private:
    std::string implementation_;
    std::optional<Operand> x_, w_, y_;  ///< or their gradients, as the direction has it
    memory bias_, residual_;
    bool added_after_ = false;  ///< the residual, which the primitive leaves to us
    dnnl::primitive primitive_;
    std::unordered_map<int, memory> arguments_;
};

namespace {

/// While it lives a convolution goes by minimal filtering: the benchmark and the profiler are told. `written`: the map, or gradient of one,
/// that the tiles cover.
class ByWinograd {
  public:
    ByWinograd(Backend& backend, Winograd& winograd, const Conv2dGeometry& g, const Shape& written)
        : profiler_(backend.profiler), winograd_(winograd) {
        const int64_t made = Winograd::multiply_accumulates(g, written);
        count_saved_work(g.multiply_accumulates() - made);
        if (!profiler_) return;
        profiler_->take_way("by Winograd", made);
        winograd_.stage_times = &times_;
    }
    ~ByWinograd() {
        winograd_.stage_times = nullptr;
        if (!profiler_) return;
        for (size_t i = 0; i < times_.size(); ++i)
            if (times_[i] > 0) profiler_->add_part(Winograd::stage_names[i], times_[i] / omp_get_max_threads());
    }
    ByWinograd(const ByWinograd&) = delete;
    ByWinograd& operator=(const ByWinograd&) = delete;

  private:
    Profiler* profiler_;
    Winograd& winograd_;
    StageTimes times_{};
};

}  // namespace

bool adds_residual_rightly(const std::string& implementation) {
    return starts_with(implementation, "jit") && !starts_with(implementation, "jit_bf16_1x1");
}

CpuConvolutions::CpuConvolutions(bool winograd) : use_winograd_(winograd) {}
CpuConvolutions::~CpuConvolutions() = default;

CpuConvolutions::Plan& CpuConvolutions::plan(const Conv2dGeometry& g, Direction direction, const ConvEpilogue& epilogue) {
    const Key key{
        g.numbers(),
        {static_cast<int64_t>(direction), (epilogue.bias != nullptr) + 2 * (epilogue.residual != nullptr), omp_get_max_threads()}};
    auto& slot = plans_[key];
    if (!slot) {
        try {
            slot = std::make_unique<Plan>(g, direction, epilogue);
        } catch (const dnnl::error& e) {
            failure("oneDNN: convolution x ", to_string(g.x), ", w ", to_string(g.w), ", stride ", g.stride_h, ", groups ", g.groups, ": ",
                    e.what());
        }
    }
    return *slot;
}

void CpuConvolutions::forward(Backend& backend, const Conv2dGeometry& g, const void* x, const void* w, const ConvEpilogue& epilogue,
                              void* y) {
    if (by_winograd(g)) {
        const ByWinograd told(backend, winograd_, g, g.y);
        return winograd_.forward(g, x, w, epilogue, y);
    }
    if (Pointwise::pays_forward(g)) return pointwise_.forward(g, x, w, epilogue, y);
    plan(g, Direction::forward, epilogue).forward(g, x, w, epilogue, y);
}

void CpuConvolutions::backward_data(Backend& backend, const Conv2dGeometry& g, const void* dy, const void* w, void* dx, bool add) {
    if (by_winograd(g)) {
        const ByWinograd told(backend, winograd_, g, g.x);
        return winograd_.backward_data(g, dy, w, dx, add);
    }
    if (Pointwise::fits(g)) return pointwise_.backward_data(g, dy, w, dx, add);
    plan(g, Direction::backward_data).backward_data(dy, w, dx);
}

void CpuConvolutions::backward_weights(Backend& backend, const Conv2dGeometry& g, const void* x, const void* dy, float* dw) {
    if (by_winograd(g)) {
        const ByWinograd told(backend, winograd_, g, g.y);
        return winograd_.backward_weights(g, x, dy, dw);
    }
    if (Pointwise::fits(g)) return pointwise_.backward_weights(g, x, dy, dw);
    if (DepthwiseWeights::fits(g)) return depthwise_.backward(g, x, dy, dw);
    plan(g, Direction::backward_weights).backward_weights(x, dy, dw);
}

std::array<std::string, 3> CpuConvolutions::implementations(const Conv2dGeometry& g) {
    const auto name = [&](Direction direction) { return Plan(g, direction, {}).implementation(); };
    return {name(Direction::forward), name(Direction::backward_data), name(Direction::backward_weights)};
}

}  // namespace distill
