// cuda_conv2d.h: the GPU's convolutions: cuDNN's plans, chosen by measurement, and the memory they work in.
// defines: ConvOperands, CudaConvolutions
#pragma once
#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cudnn_graph.h"

namespace distill {

/// One convolution's tensors in device memory; x, w, y stand for their gradients where the direction has it so. All 16-byte aligned.
struct ConvOperands {
    void *x, *w, *y;
    ConvEpilogue epilogue;
};

/// The first time a convolution is met, the plans that cuDNN offers for it are timed on the device and the fastest is kept
/// (core_conv_plan_store.h): that takes some milliseconds, overwrites the result, and cannot happen while a CUDA graph is captured.
/// After that a call looks the plan up and queues it on the backend's current stream.
class CudaConvolutions {
  public:
    CudaConvolutions(Backend& backend, const std::string& device_name, bool deterministic);
    ~CudaConvolutions();

    /// A failure during capture if there is no plan yet, or too little workspace on this stream.
    void run(ConvDirection direction, const Conv2dGeometry& geometry, const ConvOperands& operands);
    ConvPlanStore& plans() { return plans_; }

  private:
    using Cudnn = Owned<cudnnHandle_t, cudnnDestroy>;
    struct Prepared;

    Prepared& prepared(const ConvKey& key, const ConvOperands& operands);
    ConvChoice measure(const ConvKey& key, const ConvOperands& operands);
    float milliseconds(const ConvKey& key, const Prepared& plan, const ConvOperands& operands, void* workspace);
    void execute(const ConvKey& key, const Prepared& plan, const ConvOperands& operands, void* workspace);
    void* workspace(const ConvKey& key, size_t bytes);
    cudaStream_t stream() const { return static_cast<cudaStream_t>(backend_.native_stream()); }
    void refuse_while_capturing(const ConvKey& key, const char* what) const;

    Backend& backend_;
    const bool deterministic_;
    Cudnn cudnn_;
    CudnnTarget target_;
    ConvPlanStore plans_;
    std::map<ConvKey::Numbers, std::unique_ptr<Prepared>> prepared_;
    uint64_t adoptions_ = 0;                          ///< of plans_, when prepared_ was begun
    std::vector<std::unique_ptr<Prepared>> retired_;  ///< a captured graph may still run code that they own
    std::map<cudaStream_t, BlockRef> workspaces_;
    std::vector<BlockRef> outgrown_;
};

}  // namespace distill
