// core_conv_plan_store.h: which of a library's plans each convolution takes: measured once in a process, kept with a run.
// defines: ConvDirection, ConvKey, ConvChoice, to_string, parse_conv_choice, ConvPlanStore, save_conv_plans, load_conv_plans,
//          best_choice, keep_machine_conv_plans, recall_machine_conv_plans
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core_backend.h"

namespace distill {

enum class ConvDirection { forward, backward_data, backward_weights };

/// All that changes a plan on one device with one library.
struct ConvKey {
    ConvDirection direction = ConvDirection::forward;
    Conv2dGeometry geometry;
    bool bias = false, residual = false, relu = false;  ///< ConvEpilogue's, as far as given
    Precision precision = Precision::fp32;
    bool deterministic = true;

    using Numbers = std::pair<Conv2dGeometry::Numbers, std::array<int64_t, 4>>;
    Numbers numbers() const;  ///< for the look-up before every call: no text is made
    bool has_epilogue() const { return bias || residual || relu; }
};
std::string to_string(const ConvKey& key);  ///< "forward x 128x32x32x3 w 16x3x3x3 y 128x32x32x16 stride 1x1 pad 1x1 groups 1 f32 tf32 …"

/// A plan by what chooses it. `fused`: one graph does all; else a convolution by itself, and a kernel of ours after it (an epilogue, or
/// gradients of weights from bf16 to float). Engine and knobs are the library's numbers; with one version on one device they name a kernel.
struct ConvChoice {
    bool fused = false;
    int64_t engine = 0;
    std::vector<std::pair<int64_t, int64_t>> knobs;  ///< which, and its value
    double ms = 0;                                   ///< as measured; not part of the choice

    bool same_plan(const ConvChoice& o) const { return fused == o.fused && engine == o.engine && knobs == o.knobs; }
};
std::string to_string(const ConvChoice& choice);                       ///< "fused engine=44 2=12 18=0"
std::optional<ConvChoice> parse_conv_choice(const std::string& text);  ///< none: not what to_string writes

/// Of the plans that were timed, in the library's order (not none): the fastest, or one ranked higher and as fast within 3 %, so that noise
/// seldom decides. Of weight gradients from bf16 maps only those that sum out to float (`fused`), where there are any: how such a
/// gradient is rounded must not hang on which plan was faster.
ConvChoice best_choice(const ConvKey& key, std::vector<ConvChoice> timed);

/// Holds the plans chosen for one training's backend. New choices are shared within the process, so that trainings side by side on cards of
/// one name measure once and take the same plans. Plans loaded from a run's file take precedence.
class ConvPlanStore {
  public:
    ConvPlanStore(std::string device, std::string library) : device_(std::move(device)), library_(std::move(library)) {}
    const std::string& device() const { return device_; }    ///< the card's name
    const std::string& library() const { return library_; }  ///< its name and version: "cuDNN 9.19.0"

    /// The choice for a key (as text), else what `measure` returns: in one thread at a time, and not at all if another just did.
    ConvChoice choose(const std::string& key, const std::function<ConvChoice()>& measure);
    /// Takes back a choice that turned out to be none: the library refuses to build it.
    void forget(const std::string& key);
    /// Choices read from a file.
    void adopt(const std::map<std::string, ConvChoice>& choices);
    const std::map<std::string, ConvChoice>& choices() const { return choices_; }  ///< used or loaded so far
    uint64_t adoptions() const { return adoptions_; }                              ///< of other choices than those made before

  private:
    std::string process_key(const std::string& key) const { return device_ + '\n' + library_ + '\n' + key; }
    std::string device_, library_;
    std::map<std::string, ConvChoice> choices_;
    uint64_t adoptions_ = 0;
};

/// conv_plans.csv of a run: device,library,convolution,plan,ms. Writes whole or not at all, and only what changed; nothing if no choice
/// was made, as on the CPU. The error of a file that cannot be written is cannot_write()'s.
void save_conv_plans(const ConvPlanStore& store, const std::filesystem::path& path);
void save_conv_plans(Backend& backend, const std::filesystem::path& path);

/// Before the first step of a resumed run: the same plans as before, so that it goes on to the bit. No file: nothing to load.
/// Rows of another device or version are left out, and one printed line says so. A broken file: InputError with its line, nothing loaded.
void load_conv_plans(ConvPlanStore& store, const std::filesystem::path& path);
void load_conv_plans(Backend& backend, const std::filesystem::path& path);

/// The same for what this machine chose in other processes, so that what is started anew takes the plans that it took before: in
/// $XDG_CACHE_HOME/distill (or ~/.cache/distill), a file for each device and version. What several keep at once is joined; of
/// one convolution the plan that was there first stays. A file that cannot be used costs a printed note.
void keep_machine_conv_plans(Backend& backend);
void recall_machine_conv_plans(Backend& backend);

}  // namespace distill
