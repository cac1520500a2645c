#include "cudnn_graph.h"

#include <algorithm>

namespace distill {
namespace {

using Type = cudnnBackendDescriptorType_t;
using Name = cudnnBackendAttributeName_t;

cudnnDataType_t data_type(DType type) { return type == DType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT; }

/// The names of one direction's attributes.
struct ConvNames {
    Type operation;
    Name description, x, w, y, alpha, beta;
};
ConvNames names_of(ConvDirection direction) {
    switch (direction) {
        case ConvDirection::forward:
            return {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
        case ConvDirection::backward_data:
            return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
        case ConvDirection::backward_weights: break;
    }
    return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};
}

/// What the heuristics return. A mode that has nothing to say for a graph offers nothing.
std::vector<CudnnDescriptor> engine_configs(const CudnnDescriptor& graph, cudnnBackendHeurMode_t mode, const CudnnTarget& target) {
    CudnnDescriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
    heuristics.set(CUDNN_ATTR_ENGINEHEUR_MODE, mode);
    target.set_on(heuristics, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    if (cudnnBackendFinalize(heuristics.get()) != CUDNN_STATUS_SUCCESS) return {};
    int64_t count = 0;
    DISTILL_CUDA_CHECK(
        cudnnBackendGetAttribute(heuristics.get(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &count, nullptr));
    return heuristics.children(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, count);
}

std::vector<cudnnBackendNumericalNote_t> notes_of(const CudnnDescriptor& engine) {
    return engine.values<cudnnBackendNumericalNote_t>(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
}

bool is_compiled_at_run_time(const CudnnDescriptor& engine) {
    const auto notes = engine.values<cudnnBackendBehaviorNote_t>(CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_BEHAVIOR_NOTE_TYPE_COUNT);
    return std::count(notes.begin(), notes.end(), CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION) > 0;
}

ConvChoice choice_of(const CudnnDescriptor& config, const CudnnDescriptor& engine, bool fused) {
    ConvChoice choice;
    choice.fused = fused;
    choice.engine = engine.value<int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
    for (const CudnnDescriptor& knob :
         config.children(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, CUDNN_KNOB_TYPE_COUNTS))
        choice.knobs.emplace_back(knob.value<cudnnBackendKnobType_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE),
                                  knob.value<int64_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE));
    return choice;
}

}  // namespace

const char* error_words(cudnnStatus_t status) {
    if (status == CUDNN_STATUS_SUCCESS) return nullptr;
    static thread_local std::string words;
    char detail[512] = "";
    cudnnGetLastErrorString(detail, sizeof detail);
    words = text(cudnnGetErrorString(status), " (", detail, ')');
    return words.c_str();
}

std::string cudnn_version() {
    const size_t v = cudnnGetVersion();
    return text("cuDNN ", v / 10000, '.', v % 10000 / 100, '.', v % 100);
}

CudnnDescriptor::CudnnDescriptor(cudnnBackendDescriptorType_t type) {
    cudnnBackendDescriptor_t made = nullptr;
    DISTILL_CUDA_CHECK(cudnnBackendCreateDescriptor(type, &made));
    handle_.reset(made);
}

void CudnnDescriptor::set(Name name, const std::vector<const CudnnDescriptor*>& children) {
    std::vector<cudnnBackendDescriptor_t> raw;
    for (const CudnnDescriptor* child : children) raw.push_back(child->get());
    DISTILL_CUDA_CHECK(cudnnBackendSetAttribute(get(), name, CUDNN_TYPE_BACKEND_DESCRIPTOR, static_cast<int64_t>(raw.size()), raw.data()));
}

std::vector<CudnnDescriptor> CudnnDescriptor::children(Name name, Type type, int64_t most) const {
    std::vector<CudnnDescriptor> found;
    std::vector<cudnnBackendDescriptor_t> raw;
    for (int64_t i = 0; i < most; ++i) raw.push_back(found.emplace_back(type).get());
    int64_t count = 0;
    if (most > 0) DISTILL_CUDA_CHECK(cudnnBackendGetAttribute(get(), name, CUDNN_TYPE_BACKEND_DESCRIPTOR, most, &count, raw.data()));
    while (found.size() > static_cast<size_t>(count)) found.pop_back();
    return found;
}

#if CUDNN_VERSION >= 90800
CudnnTarget::CudnnTarget(const std::string& properties_as_json) : properties_(std::in_place, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR) {
    properties_->set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, properties_as_json.data(), properties_as_json.size());
    properties_->finalize();
}
#endif

void CudnnTarget::set_on(CudnnDescriptor& descriptor, Type type) const {
    if (handle_) {
        if (type == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR) descriptor.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, handle_);
        if (type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) descriptor.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, handle_);
        return;
    }
#if CUDNN_VERSION >= 90800
    if (type == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR) descriptor.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, *properties_);
    if (type == CUDNN_BACKEND_ENGINE_DESCRIPTOR) descriptor.set(CUDNN_ATTR_ENGINE_DEVICEPROP, *properties_);
    if (type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) descriptor.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, *properties_);
#endif
}

CudnnPlan::CudnnPlan(CudnnDescriptor engine_config, const CudnnTarget& target) : config_(std::move(engine_config)) {
    plan_.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config_);
    target.set_on(plan_, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    plan_.finalize();
    workspace_bytes_ = static_cast<size_t>(plan_.value<int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE));
}

void CudnnPlan::execute(cudnnHandle_t handle, const std::vector<int64_t>& uids, const std::vector<void*>& pointers, void* workspace) const {
    CudnnDescriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, uids);
    pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, pointers);
    pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, workspace);
    pack.finalize();
    DISTILL_CUDA_CHECK(cudnnBackendExecute(handle, plan_.get(), pack.get()));
}

CudnnConvGraph::CudnnConvGraph(const ConvKey& key, bool fused, const CudnnTarget& target) : key_(key), fused_(fused), target_(target) {
    const Conv2dGeometry& g = key.geometry;
    const cudnnDataType_t maps = data_type(g.type);
    const bool wide_gradient = key.direction == ConvDirection::backward_weights && fused;
    const bool epilogue = key.direction == ConvDirection::forward && fused && key.has_epilogue();

    const CudnnDescriptor& x_tensor = tensor(x, g.x, maps);
    const CudnnDescriptor& w_tensor = tensor(w, g.w, wide_gradient ? CUDNN_DATA_FLOAT : maps);
    const CudnnDescriptor& y_tensor = tensor(y, g.y, maps);
    if (!epilogue) {
        add_convolution(x_tensor, w_tensor, y_tensor);
    } else {
        int64_t next_virtual = bias;
        const auto sum = [&]() -> const CudnnDescriptor& { return tensor(++next_virtual, g.y, CUDNN_DATA_FLOAT, false); };
        const CudnnDescriptor* last = &sum();
        add_convolution(x_tensor, w_tensor, *last);
        const auto then = [&](cudnnPointwiseMode_t mode, const CudnnDescriptor* other, bool ends) {
            const CudnnDescriptor& result = ends ? y_tensor : sum();
            add_pointwise(mode, *last, other, result);
            last = &result;
        };
        if (key.residual) then(CUDNN_POINTWISE_ADD, &tensor(residual, g.y, maps), !key.bias && !key.relu);
        if (key.bias) then(CUDNN_POINTWISE_ADD, &tensor(bias, {1, 1, 1, g.y.c}, CUDNN_DATA_FLOAT), !key.relu);
        if (key.relu) then(CUDNN_POINTWISE_RELU_FWD, nullptr, true);
    }
    graph_.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operations_);
    target.set_on(graph_, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    graph_.finalize();
}

CudnnDescriptor& CudnnConvGraph::add(Type type) { return *parts_.emplace_back(std::make_unique<CudnnDescriptor>(type)); }

const CudnnDescriptor& CudnnConvGraph::tensor(int64_t uid, const Shape& s, cudnnDataType_t type, bool in_memory) {
    CudnnDescriptor& t = add(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    t.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, uid);
    t.set(CUDNN_ATTR_TENSOR_DATA_TYPE, type);
    t.set(CUDNN_ATTR_TENSOR_DIMENSIONS, std::vector<int64_t>{s.n, s.c, s.h, s.w});
    t.set(CUDNN_ATTR_TENSOR_STRIDES, std::vector<int64_t>{s.per_sample(), 1, s.w * s.c, s.c});
    t.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, int64_t{16});
    t.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, !in_memory);
    t.finalize();
    if (in_memory) uids_.push_back(uid);
    return t;
}

void CudnnConvGraph::add_convolution(const CudnnDescriptor& x_tensor, const CudnnDescriptor& w_tensor, const CudnnDescriptor& y_tensor) {
    const Conv2dGeometry& g = key_.geometry;
    const ConvNames names = names_of(key_.direction);
    const std::vector<int64_t> padding{g.pad_h, g.pad_w};
    CudnnDescriptor& description = add(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    description.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT);
    description.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION);
    description.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, int64_t{2});
    description.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, padding);
    description.set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, padding);
    description.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, std::vector<int64_t>{g.stride_h, g.stride_w});
    description.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, std::vector<int64_t>{1, 1});
    description.finalize();

    CudnnDescriptor& operation = add(names.operation);
    operation.set(names.description, description);
    operation.set(names.x, x_tensor);
    operation.set(names.w, w_tensor);
    operation.set(names.y, y_tensor);
    operation.set(names.alpha, 1.0f);
    operation.set(names.beta, 0.0f);
    operation.finalize();
    operations_.push_back(&operation);
}

void CudnnConvGraph::add_pointwise(cudnnPointwiseMode_t mode, const CudnnDescriptor& from, const CudnnDescriptor* other,
                                   const CudnnDescriptor& to) {
    CudnnDescriptor& description = add(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    description.set(CUDNN_ATTR_POINTWISE_MODE, mode);
    description.set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
    if (mode == CUDNN_POINTWISE_RELU_FWD) description.set(CUDNN_ATTR_POINTWISE_NAN_PROPAGATION, CUDNN_PROPAGATE_NAN);
    description.finalize();

    CudnnDescriptor& operation = add(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    operation.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, description);
    operation.set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, from);
    if (other) operation.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, *other);
    operation.set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, to);
    operation.finalize();
    operations_.push_back(&operation);
}

std::vector<ConvChoice> CudnnConvGraph::candidates(size_t most) const {
    constexpr size_t enough = 4, most_compiled = 2;  // an engine compiled at run time takes the host up to seconds
    std::vector<ConvChoice> all;
    size_t compiled = 0;
    for (const auto mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK}) {
        if (mode == CUDNN_HEUR_MODE_FALLBACK && all.size() >= enough) break;
        size_t taken = 0;
        for (const CudnnDescriptor& config : engine_configs(graph_, mode, target_)) {
            if (taken == most) break;
            const auto engines = config.children(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1);
            if (!keeps_promises(notes_of(engines.at(0)), key_)) continue;
            if (is_compiled_at_run_time(engines[0]) && ++compiled > most_compiled) continue;
            const ConvChoice choice = choice_of(config, engines.at(0), fused_);
            ++taken;
            if (std::none_of(all.begin(), all.end(), [&](const ConvChoice& c) { return c.same_plan(choice); })) all.push_back(choice);
        }
    }
    // Of large maps on an H100 the heuristics of 9.27 and later rank little but tensor cores; engines that keep fp32 then go unnamed.
    const bool few = all.size() < enough && key_.precision == Precision::fp32;
    const int64_t engines = few ? graph_.value<int64_t>(CUDNN_ATTR_OPERATIONGRAPH_ENGINE_GLOBAL_COUNT) : 0;
    for (int64_t number = 0; number < engines; ++number) {
        if (std::any_of(all.begin(), all.end(), [&](const ConvChoice& c) { return c.engine == number; })) continue;
        const CudnnDescriptor candidate = engine(number);
        if (cudnnBackendFinalize(candidate.get()) != CUDNN_STATUS_SUCCESS || !keeps_promises(notes_of(candidate), key_)) continue;
        if (is_compiled_at_run_time(candidate) && ++compiled > most_compiled) continue;
        ConvChoice choice;
        choice.fused = fused_;
        choice.engine = number;  // no knobs: the engine's own defaults
        all.push_back(choice);
    }
    return all;
}

bool CudnnConvGraph::offers_compiled_engines() const {
    for (const auto mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK})
        for (const CudnnDescriptor& config : engine_configs(graph_, mode, target_))
            for (const CudnnDescriptor& engine : config.children(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1))
                if (is_compiled_at_run_time(engine)) return true;
    return false;
}

CudnnDescriptor CudnnConvGraph::engine(int64_t number) const {
    CudnnDescriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    engine.set(CUDNN_ATTR_ENGINE_OPERATION_GRAPH, graph_);
    engine.set(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, number);
    target_.set_on(engine, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    return engine;
}

CudnnPlan CudnnConvGraph::plan(const ConvChoice& choice) const {
    CudnnDescriptor engine = this->engine(choice.engine);
    engine.finalize();
    if (!keeps_promises(notes_of(engine), key_)) failure("engine ", choice.engine, " does not compute as precision and determinism ask");

    std::vector<CudnnDescriptor> knobs;
    std::vector<const CudnnDescriptor*> chosen;
    knobs.reserve(choice.knobs.size());
    for (const auto& [type, value] : choice.knobs) {
        CudnnDescriptor& knob = knobs.emplace_back(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
        knob.set(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, static_cast<cudnnBackendKnobType_t>(type));
        knob.set(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, value);
        knob.finalize();
        chosen.push_back(&knob);
    }
    CudnnDescriptor config(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    config.set(CUDNN_ATTR_ENGINECFG_ENGINE, engine);
    if (!chosen.empty()) config.set(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, chosen);
    config.finalize();
    return CudnnPlan(std::move(config), target_);
}

std::string missing_engines_note(const ConvKey& key, bool offers_compiled, size_t version) {
    constexpr size_t compiled_since = 91002;  // 9.9.0 has them precompiled
    const Conv2dGeometry& g = key.geometry;
    const bool depthwise = g.groups > 1 && g.groups == g.x.c, forward = key.direction == ConvDirection::forward;
    if (!depthwise || !forward || offers_compiled || version < compiled_since) return {};
    return text("note: ", cudnn_version(), " offers no depthwise engine that is compiled at run time, as it does where it finds NVRTC ",
                "(libnvrtc.so.", CUDART_VERSION / 1000, "): depthwise convolutions take slower ones; install NVRTC, or add its folder ",
                "to LD_LIBRARY_PATH");
}

bool keeps_promises(const std::vector<cudnnBackendNumericalNote_t>& notes, const ConvKey& key) {
    const bool floats = key.geometry.type == DType::f32;
    for (const cudnnBackendNumericalNote_t note : notes) switch (note) {
            case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:
                if (floats && key.precision == Precision::fp32) return false;
                break;
            case CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC:
                if (key.deterministic) return false;
                break;
            case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS:  // floats become halves there, and gradients leave their range
            case CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION:
            case CUDNN_NUMERICAL_NOTE_FFT:
            case CUDNN_NUMERICAL_NOTE_WINOGRAD:
            case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4:
            case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6:
            case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13: return false;
            default: break;  // STRICT_NAN_PROP, and the notes of versions to come, which cannot take back what these promise
        }
    return true;
}

}  // namespace distill
