// cudnn_graph.h: cuDNN 9's graph API for one convolution: descriptors, operation graphs, the engines offered for them, plans.
// defines: error_words, cudnn_version, cudnn_type_of, CudnnDescriptor, CudnnTarget, CudnnPlan, CudnnConvGraph, missing_engines_note,
//          keeps_promises
#pragma once
#include <cudnn.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core_conv_plan_store.h"
#include "cuda_owned.h"

#if CUDNN_MAJOR < 9
#error "cuDNN 9 or later is needed: install one, or name its folder with make CUDNN_HOME=/path"
#endif

namespace distill {

/// The status and, beside it, what the library says about this thread's last failure.
const char* error_words(cudnnStatus_t status);

std::string cudnn_version();  ///< "cuDNN 9.19.0": the library's, at run time

/// The type code that cudnnBackendSetAttribute wants for a C++ type.
template <class T>
constexpr cudnnBackendAttributeType_t cudnn_type_of = [] {
    if constexpr (std::is_same_v<T, int64_t>)
        return CUDNN_TYPE_INT64;
    else if constexpr (std::is_same_v<T, bool>)
        return CUDNN_TYPE_BOOLEAN;
    else if constexpr (std::is_same_v<T, float>)
        return CUDNN_TYPE_FLOAT;
    else if constexpr (std::is_same_v<T, char>)
        return CUDNN_TYPE_CHAR;
    else if constexpr (std::is_same_v<T, void*>)
        return CUDNN_TYPE_VOID_PTR;
    else if constexpr (std::is_same_v<T, cudnnHandle_t>)
        return CUDNN_TYPE_HANDLE;
    else if constexpr (std::is_same_v<T, cudnnDataType_t>)
        return CUDNN_TYPE_DATA_TYPE;
    else if constexpr (std::is_same_v<T, cudnnConvolutionMode_t>)
        return CUDNN_TYPE_CONVOLUTION_MODE;
    else if constexpr (std::is_same_v<T, cudnnPointwiseMode_t>)
        return CUDNN_TYPE_POINTWISE_MODE;
    else if constexpr (std::is_same_v<T, cudnnNanPropagation_t>)
        return CUDNN_TYPE_NAN_PROPOGATION;
    else if constexpr (std::is_same_v<T, cudnnBackendHeurMode_t>)
        return CUDNN_TYPE_HEUR_MODE;
    else if constexpr (std::is_same_v<T, cudnnBackendKnobType_t>)
        return CUDNN_TYPE_KNOB_TYPE;
    else if constexpr (std::is_same_v<T, cudnnBackendNumericalNote_t>)
        return CUDNN_TYPE_NUMERICAL_NOTE;
    else if constexpr (std::is_same_v<T, cudnnBackendBehaviorNote_t>)
        return CUDNN_TYPE_BEHAVIOR_NOTE;
}();

/// A backend descriptor: created, given its attributes, then finalised; what is set is copied or counted by the library.
class CudnnDescriptor {
  public:
    explicit CudnnDescriptor(cudnnBackendDescriptorType_t type);

    template <class T>
    void set(cudnnBackendAttributeName_t name, const T* values, size_t count) {
        DISTILL_CUDA_CHECK(cudnnBackendSetAttribute(get(), name, cudnn_type_of<T>, static_cast<int64_t>(count), values));
    }
    template <class T>
    void set(cudnnBackendAttributeName_t name, const T& value) {
        set(name, &value, 1);
    }
    template <class T>
    void set(cudnnBackendAttributeName_t name, const std::vector<T>& values) {
        set(name, values.data(), values.size());
    }
    void set(cudnnBackendAttributeName_t name, const CudnnDescriptor& child) { set(name, std::vector<const CudnnDescriptor*>{&child}); }
    void set(cudnnBackendAttributeName_t name, const std::vector<const CudnnDescriptor*>& children);
    void finalize() { DISTILL_CUDA_CHECK(cudnnBackendFinalize(get())); }

    /// A single value; a list of at most `most`; child descriptors of one type.
    template <class T>
    T value(cudnnBackendAttributeName_t name) const {
        T value{};
        int64_t count = 0;
        DISTILL_CUDA_CHECK(cudnnBackendGetAttribute(get(), name, cudnn_type_of<T>, 1, &count, &value));
        return value;
    }
    template <class T>
    std::vector<T> values(cudnnBackendAttributeName_t name, int64_t most) const {
        std::vector<T> found(static_cast<size_t>(most));
        int64_t count = 0;
        DISTILL_CUDA_CHECK(cudnnBackendGetAttribute(get(), name, cudnn_type_of<T>, most, &count, found.data()));
        found.resize(static_cast<size_t>(count));
        return found;
    }
    std::vector<CudnnDescriptor> children(cudnnBackendAttributeName_t name, cudnnBackendDescriptorType_t type, int64_t most) const;

    cudnnBackendDescriptor_t get() const { return handle_.get(); }

  private:
    Owned<cudnnBackendDescriptor_t, cudnnBackendDestroyDescriptor> handle_;
};

/// What plans are made for: the GPU of a handle, or one that is known by its properties alone (cuDNN 9.8 and later can make plans for a
/// GPU that is not there; so the tests see whether cuDNN takes our graphs).
class CudnnTarget {
  public:
    explicit CudnnTarget(cudnnHandle_t handle) : handle_(handle) {}
#if CUDNN_VERSION >= 90800
    explicit CudnnTarget(const std::string& properties_as_json);
#endif
    /// Sets what a descriptor of this kind has to know of the device.
    void set_on(CudnnDescriptor& descriptor, cudnnBackendDescriptorType_t type) const;

  private:
    cudnnHandle_t handle_ = nullptr;
    std::optional<CudnnDescriptor> properties_;
};

/// A finalised plan, ready to run.
class CudnnPlan {
  public:
    CudnnPlan(CudnnDescriptor engine_config, const CudnnTarget& target);
    size_t workspace_bytes() const { return workspace_bytes_; }
    /// pointers[i] is the memory of the tensor uids[i]. Queues the work on the handle's stream. A variant pack once finalised takes no
    /// other pointers; making one costs 0.3 µs (measured, cuDNN 9.19).
    void execute(cudnnHandle_t handle, const std::vector<int64_t>& uids, const std::vector<void*>& pointers, void* workspace) const;

  private:
    CudnnDescriptor config_, plan_{CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR};
    size_t workspace_bytes_ = 0;
};

/// The operation graph of a convolution: activations are N,C,H,W with the strides of N,H,W,C, weights K,C/groups,R,S with those of
/// K,R,S,C; groups follow from the channels. Sums are float. `fused`: with the epilogue in the graph (forward), in the order residual,
/// bias, ReLU that cuDNN has precompiled engines for; or with float gradients of the weights from bf16 maps. Else the convolution alone,
/// all of it in the maps' type.
class CudnnConvGraph {
  public:
    /// Numbers of the tensors; x, w, y stand for their gradients where the direction has it so. The order of the pointers for execute().
    enum Uid : int64_t { x = 1, w, y, residual, bias };

    CudnnConvGraph(const ConvKey& key, bool fused, const CudnnTarget& target);
    /// Of the tensors in memory.
    const std::vector<int64_t>& uids() const { return uids_; }

    /// Engines with their knobs that keep the key's promises (precision, determinism): as the heuristics rank them, at most `most` of each
    /// of the two, then, where these are few, the fallbacks and, in fp32, all other engines by their numbers; none twice. Some may not
    /// finalise, or want more workspace than there is.
    std::vector<ConvChoice> candidates(size_t most) const;
    /// Whether the heuristics name an engine of any precision that is compiled at run time.
    bool offers_compiled_engines() const;
    /// Throws what cuDNN says if it does not have such a plan.
    CudnnPlan plan(const ConvChoice& choice) const;

  private:
    CudnnDescriptor engine(int64_t number) const;  ///< not yet finalised
    CudnnDescriptor& add(cudnnBackendDescriptorType_t type);
    const CudnnDescriptor& tensor(int64_t uid, const Shape& shape, cudnnDataType_t type, bool in_memory = true);
    void add_convolution(const CudnnDescriptor& x_tensor, const CudnnDescriptor& w_tensor, const CudnnDescriptor& y_tensor);
    void add_pointwise(cudnnPointwiseMode_t mode, const CudnnDescriptor& from, const CudnnDescriptor* other, const CudnnDescriptor& to);

    ConvKey key_;
    bool fused_;
    const CudnnTarget& target_;
    std::vector<int64_t> uids_;
    std::vector<std::unique_ptr<CudnnDescriptor>> parts_;  ///< in stable places; they live as long as the graph
    std::vector<const CudnnDescriptor*> operations_;
    CudnnDescriptor graph_{CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR};
};

/// A line for the user where a depthwise forward convolution is offered none of the engines that cuDNN (`version` as cudnnGetVersion()
/// has it) compiles at run time: it leaves them out without a word if it finds no NVRTC. Empty where nothing is amiss.
std::string missing_engines_note(const ConvKey& key, bool offers_compiled, size_t version);

/// Whether an engine with these notes keeps what the key promises: without TF32 where fp32 is asked for, with float sums, without
/// transforms (FFT, Winograd) that round the operands anew, the same bits each time where determinism is asked for.
bool keeps_promises(const std::vector<cudnnBackendNumericalNote_t>& notes, const ConvKey& key);

}  // namespace distill
