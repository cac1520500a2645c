#include "ktg_worker_plan.h"

#include <algorithm>
#include <cstdlib>

#include "base_error.h"
#include "base_texts.h"
#include "device.h"

namespace distill {
namespace {

int gpu_count() {
#ifdef DISTILL_CUDA
    return cuda_device_count();
#else
    return 0;
#endif
}

/// The GPU as CUDA_VISIBLE_DEVICES names it, which may be set already.
std::string visible_gpu(int index) {
    const char* set = std::getenv("CUDA_VISIBLE_DEVICES");
    const std::vector<std::string> names = split(set ? set : "", ',');
    return static_cast<size_t>(index) < names.size() ? names[static_cast<size_t>(index)] : std::to_string(index);
}

}  // namespace

std::vector<int> parse_devices(const std::string& devices) {
    std::vector<int> gpus;
    for (const std::string& part : split(devices, ',')) {
        const bool digits = !part.empty() && part.size() < 4 && part.find_first_not_of("0123456789") == std::string::npos;
        if (!digits || std::count(gpus.begin(), gpus.end(), std::stoi(part)) > 0)
            input_error("--devices: found '", devices, "', expected auto, cpu, or different GPUs like 0,1");
        gpus.push_back(std::stoi(part));
    }
    if (gpus.empty()) input_error("--devices: found '', expected auto, cpu, or different GPUs like 0,1");
    return gpus;
}

std::vector<int> shared_out(int jobs, int processes) {
    const int used = std::min(jobs, processes);
    std::vector<int> shares;
    for (int i = 0; i < used; ++i) shares.push_back(jobs / used + (i < jobs % used ? 1 : 0));
    return shares;
}

WorkerPlan plan_workers(const std::string& device, const std::string& devices, int jobs) {
    WorkerPlan plan;
    plan.program = "/proc/self/exe";  // this very build, whatever has become of its file
    if (device == "cpu") {
        plan.processes.resize(static_cast<size_t>(jobs));
        return plan;
    }
    std::vector<int> gpus;
    if (devices != "auto") gpus = parse_devices(devices);
    for (int i = 0; devices == "auto" && i < gpu_count(); ++i) gpus.push_back(i);
    for (const int gpu : gpus)
        if (gpu >= gpu_count()) input_error("--devices ", devices, ": there is no GPU ", gpu, "; found ", gpu_count(), ", counted from 0");
    const std::vector<int> shares = shared_out(jobs, static_cast<int>(gpus.size()));
    for (size_t i = 0; i < shares.size(); ++i) plan.processes.push_back({shares[i], {"CUDA_VISIBLE_DEVICES=" + visible_gpu(gpus[i])}});
    return plan;
}

}  // namespace distill
