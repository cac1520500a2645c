#include "cpu_backend.h"

#include <cblas.h>
#include <omp.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <dnnl.hpp>
#include <fstream>
#include <utility>

#include "base_error.h"
#include "base_texts.h"
#include "cpu_aligned_floats.h"
#include "cpu_conv2d.h"
#include "cpu_one_thread.h"
#include "cpu_peak.h"

namespace distill {
namespace {

class CpuArena final : public Arena {
  public:
    ~CpuArena() override {
        for (const auto& block : blocks_) std::free(block->memory);
    }

  private:
    void* system_allocate(size_t bytes) override {
        constexpr size_t huge_page = size_t{2} << 20, cache_line = cache_line_bytes;
        const size_t alignment = bytes >= huge_page ? huge_page : cache_line;
        void* memory = std::aligned_alloc(alignment, rounded_up(bytes, alignment));
        if (!memory) throw OutOfMemory(text("out of memory: ", bytes, " bytes asked for, ", system_bytes(), " in use"));
        if (bytes >= huge_page) ::madvise(memory, bytes, MADV_HUGEPAGE);  // fewer TLB misses; a refusal costs only speed
        return memory;
    }
};

/// What the system calls it; "" where it does not say.
std::string cpu_name() {
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);)
        if (starts_with(line, "model name") && line.find(": ") != std::string::npos) return line.substr(line.find(": ") + 2);
    return "";
}

/// The widest instructions that oneDNN may use, after DNNL_MAX_CPU_ISA.
const char* instructions() {
    const auto has = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
    for (const auto& [isa, name] : {std::pair(dnnl::cpu_isa::avx512_core_bf16, "AVX-512 with bf16"),
                                    {dnnl::cpu_isa::avx512_core, "AVX-512"},
                                    {dnnl::cpu_isa::avx2, "AVX2"},
                                    {dnnl::cpu_isa::avx, "AVX"}})
        if (const auto needed = static_cast<unsigned>(isa); (has & needed) == needed) return name;  // each has the bits of those it holds
    return "SSE4.1";
}

}  // namespace

CpuBackend::CpuBackend(const DeviceOptions& options)
    : Backend(options.precision), arena_(std::make_unique<CpuArena>()), convolutions_(std::make_unique<CpuConvolutions>(options.winograd)) {
    arena_->owner = this;
    if (options.precision != Precision::bf16) return;
    const auto has = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
    const auto needed = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_bf16);
    if ((has & needed) != needed)  // bit masks: each set of instructions has the bits of those it holds
        input_error("--precision bf16: this CPU has no bfloat16 instructions (AVX512_BF16); use --precision fp32");
}
CpuBackend::~CpuBackend() = default;

std::string CpuBackend::description() const {
    const dnnl_version_t* v = dnnl_version();
    std::string blas = openblas_get_config();  // "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH …": name and version are the first two words
    blas = blas.substr(0, blas.find(' ', blas.find(' ') + 1));
    const std::string name = cpu_name();
    return text("cpu, ", omp_get_max_threads(), " threads, ", name, name.empty() ? "" : " with ", instructions(), ", oneDNN ", v->major,
                '.', v->minor, '.', v->patch, ", ", blas, " (", openblas_get_corename(), ")");
}

double CpuBackend::peak_multiply_accumulates_per_ms() { return cpu_multiply_accumulates_per_ms(precision()); }

void CpuBackend::copy(void* to, const void* from, size_t bytes) {
    if (to != from) std::memcpy(to, from, bytes);
}

void CpuBackend::zero(void* memory, size_t bytes) { std::memset(memory, 0, bytes); }

void CpuBackend::conv2d_forward(const Conv2dGeometry& g, const void* x, const void* w, const ConvEpilogue& epilogue, void* y) {
    convolutions_->forward(*this, g, x, w, epilogue, y);
}
bool CpuBackend::adds_backward_data(const Conv2dGeometry& g) const { return convolutions_->adds_backward_data(g); }
void CpuBackend::conv2d_backward_data(const Conv2dGeometry& g, const void* dy, const void* w, void* dx, bool add) {
    convolutions_->backward_data(*this, g, dy, w, dx, add);
}
void CpuBackend::conv2d_backward_weights(const Conv2dGeometry& g, const void* x, const void* dy, float* dw) {
    convolutions_->backward_weights(*this, g, x, dy, dw);
}

void CpuBackend::gemm(const GemmShape& s, const float* a, const float* b, float* c) {
    const auto size = [](int64_t value) { return static_cast<int>(value); };
    const int m = size(s.m), n = size(s.n), k = size(s.k), row_a = size(s.stored_row_a()), row_b = size(s.stored_row_b()),
              row_c = size(s.stored_row_c());
    // Measured on one thread: from here on oneDNN's product is 1.05 to 1.4 times as fast as OpenBLAS's, below it and on several threads slower.
    constexpr int least_m = 64, least_n = 128;
    const bool by_onednn = s.count > 1 && m >= least_m && n >= least_n;
    const OneThread alone(s.count * s.m * s.n * s.k < 1 << 20);  // over in less than 20 µs
#pragma omp parallel for if (s.count > 1)
    for (int64_t i = 0; i < s.count; ++i) {  // inside a parallel region the libraries use one thread
        const float *of_a = a + i * s.step_a, *of_b = b + i * s.step_b;
        float* of_c = c + i * s.step_c;
        if (!by_onednn || dnnl_sgemm(s.transpose_a ? 'T' : 'N', s.transpose_b ? 'T' : 'N', m, n, k, 1.0f, of_a, row_a, of_b, row_b, 0.0f,
                                     of_c, row_c) != dnnl_success)
            cblas_sgemm(CblasRowMajor, s.transpose_a ? CblasTrans : CblasNoTrans, s.transpose_b ? CblasTrans : CblasNoTrans, m, n, k, 1.0f,
                        of_a, row_a, of_b, row_b, 0.0f, of_c, row_c);
    }
}

}  // namespace distill
