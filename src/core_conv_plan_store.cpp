#include "core_conv_plan_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <sstream>

#include "base_csv.h"
#include "base_error.h"
#include "base_files.h"
#include "base_texts.h"

namespace distill {
namespace {

struct ProcessChoices {
    std::mutex mutex;
    std::map<std::string, ConvChoice> by_key;
};
ProcessChoices& process() {
    static ProcessChoices choices;
    return choices;
}

const char* name_of(ConvDirection d) {
    return d == ConvDirection::forward ? "forward" : d == ConvDirection::backward_data ? "backward_data" : "backward_weights";
}
const char* name_of(Precision p) { return p == Precision::fp32 ? "fp32" : p == Precision::tf32 ? "tf32" : "bf16"; }
std::string extents(const Shape& s) { return text(s.n, 'x', s.h, 'x', s.w, 'x', s.c); }

const std::vector<std::string> columns = {"device", "library", "convolution", "plan", "ms"};

}  // namespace

ConvKey::Numbers ConvKey::numbers() const {
    return {geometry.numbers(),
            {static_cast<int64_t>(direction), bias + 2 * residual + 4 * relu, static_cast<int64_t>(precision), deterministic}};
}

std::string to_string(const ConvKey& key) {
    const Conv2dGeometry& g = key.geometry;
    return text(name_of(key.direction), " x ", extents(g.x), " w ", extents(g.w), " y ", extents(g.y), " stride ", g.stride_h, 'x',
                g.stride_w, " pad ", g.pad_h, 'x', g.pad_w, " groups ", g.groups, g.type == DType::bf16 ? " bf16 " : " f32 ",
                name_of(key.precision), key.deterministic ? " deterministic" : " any", key.bias ? " +bias" : "",
                key.residual ? " +residual" : "", key.relu ? " relu" : "");
}

std::string to_string(const ConvChoice& choice) {
    std::string s = text(choice.fused ? "fused " : "", "engine=", choice.engine);
    for (const auto& [knob, value] : choice.knobs) s += text(' ', knob, '=', value);
    return s;
}

std::optional<ConvChoice> parse_conv_choice(const std::string& text) {
    ConvChoice choice;
    std::istringstream words(text);
    std::string word;
    if (!(words >> word)) return {};
    if (word == "fused") {
        choice.fused = true;
        if (!(words >> word)) return {};
    }
    if (!starts_with(word, "engine=")) return {};
    const auto engine = parsed_whole(word.substr(7));
    if (!engine) return {};
    choice.engine = *engine;
    while (words >> word) {
        const size_t equals = word.find('=');
        if (equals == std::string::npos) return {};
        const auto knob = parsed_whole(word.substr(0, equals)), value = parsed_whole(word.substr(equals + 1));
        if (!knob || !value) return {};
        choice.knobs.emplace_back(*knob, *value);
    }
    return choice;
}

ConvChoice best_choice(const ConvKey& key, std::vector<ConvChoice> timed) {
    constexpr double alike = 1.03;
    const auto floats = [](const ConvChoice& c) { return c.fused; };
    if (key.direction == ConvDirection::backward_weights && key.geometry.type == DType::bf16 &&
        std::any_of(timed.begin(), timed.end(), floats))
        timed.erase(std::remove_if(timed.begin(), timed.end(), std::not_fn(floats)), timed.end());
    const auto less = [](const ConvChoice& a, const ConvChoice& b) { return a.ms < b.ms; };
    const double best = std::min_element(timed.begin(), timed.end(), less)->ms;
    return *std::find_if(timed.begin(), timed.end(), [&](const ConvChoice& c) { return c.ms <= alike * best; });
}

ConvChoice ConvPlanStore::choose(const std::string& key, const std::function<ConvChoice()>& measure) {
    const auto own = choices_.find(key);
    if (own != choices_.end()) return own->second;
    const std::lock_guard<std::mutex> lock(process().mutex);  // also while measuring: two at once would time each other
    const std::string shared = process_key(key);
    auto found = process().by_key.find(shared);
    if (found == process().by_key.end()) found = process().by_key.emplace(shared, measure()).first;
    return choices_[key] = found->second;
}

void ConvPlanStore::forget(const std::string& key) {
    choices_.erase(key);
    const std::lock_guard<std::mutex> lock(process().mutex);
    process().by_key.erase(process_key(key));
}

void ConvPlanStore::adopt(const std::map<std::string, ConvChoice>& choices) {
    const std::lock_guard<std::mutex> lock(process().mutex);
    bool replaced = false;
    for (const auto& [key, choice] : choices) {
        const auto [own, is_new] = choices_.emplace(key, choice);
        replaced |= !is_new && !own->second.same_plan(choice);
        own->second = choice;
        process().by_key.emplace(process_key(key), choice);
    }
    adoptions_ += replaced;
}

namespace {

void write_plans(const ConvPlanStore& store, const std::map<std::string, ConvChoice>& choices, const fs::path& path) {
    std::vector<std::vector<std::string>> rows;
    for (const auto& [key, choice] : choices) rows.push_back({store.device(), store.library(), key, to_string(choice), number(choice.ms)});
    const std::string bytes = csv_text(columns, rows);
    if (!fs::exists(path) || read_file(path) != bytes) write_file_atomically(path, bytes);
}

/// The rows of the store's device and version; one printed line where there are others.
std::map<std::string, ConvChoice> read_plans(const ConvPlanStore& store, const fs::path& path) {
    const CsvTable table = read_csv(path);
    const char* remedy = "; remove the file to have plans chosen anew (the run then goes on within rounding, not to the bit)";
    if (table.columns != columns)
        input_error(path.string(), ": line 1: the columns are ", joined(table.columns), ", expected ", joined(columns), remedy);
    if (read_file(path).back() != '\n') input_error(path.string(), ": line ", table.rows.size() + 1, " is cut off", remedy);

    std::map<std::string, ConvChoice> choices;
    std::string foreign;
    size_t left_out = 0;
    for (size_t i = 0; i < table.rows.size(); ++i) {
        const std::string &device = table.cell(i, "device"), &library = table.cell(i, "library"), &key = table.cell(i, "convolution");
        auto choice = parse_conv_choice(table.cell(i, "plan"));
        if (!choice)
            input_error(path.string(), ": line ", i + 2, ": found the plan '", table.cell(i, "plan"),
                        "', expected [fused] engine=N KNOB=VALUE …", remedy);
        choice->ms = table.cell_number(i, "ms");
        if (device != store.device() || library != store.library()) {
            foreign = device + ", " + library;
            ++left_out;
        } else if (!choices.emplace(key, *choice).second) {
            input_error(path.string(), ": line ", i + 2, ": '", key, "' is there twice", remedy);
        }
    }
    if (left_out)
        std::printf("note: %s: %zu plans are for %s; this is %s, %s: chosen anew, so the run goes on within rounding, not to the bit\n",
                    path.string().c_str(), left_out, foreign.c_str(), store.device().c_str(), store.library().c_str());
    return choices;
}

}  // namespace

void save_conv_plans(const ConvPlanStore& store, const fs::path& path) {
    if (!store.choices().empty()) write_plans(store, store.choices(), path);
}

void load_conv_plans(ConvPlanStore& store, const fs::path& path) {
    if (fs::exists(path)) store.adopt(read_plans(store, path));
}

namespace {

/// Empty where there is no home.
fs::path machine_file(const ConvPlanStore& store) {
    const char *cache = std::getenv("XDG_CACHE_HOME"), *home = std::getenv("HOME");
    if (!(cache && *cache) && !(home && *home)) return {};
    const fs::path base = cache && *cache ? fs::path(cache) : fs::path(home) / ".cache";
    return base / "distill" / ("conv_plans_" + sha256_hex(store.device() + '\n' + store.library()).substr(0, 12) + ".csv");
}

/// Waits until no other process holds `lock`; where a file system knows no locks, goes without.
class AloneAt {
  public:
    explicit AloneAt(const fs::path& lock) : file_(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
        if (file_ < 0) cannot_write(lock, errno);
        while (::flock(file_, LOCK_EX) != 0 && errno == EINTR) {
        }
    }
    ~AloneAt() { ::close(file_); }
    AloneAt(const AloneAt&) = delete;
    AloneAt& operator=(const AloneAt&) = delete;

  private:
    int file_;
};

template <class F>
void with_machine_file(Backend& backend, const F& use) {
    ConvPlanStore* store = backend.conv_plans();
    const fs::path file = store ? machine_file(*store) : fs::path();
    if (file.empty()) return;
    try {
        use(*store, file);
    } catch (const std::exception& e) {
        std::printf("note: plans of other processes are left aside: %s\n", e.what());
    }
}

}  // namespace

void keep_machine_conv_plans(Backend& backend) {
    with_machine_file(backend, [](const ConvPlanStore& store, const fs::path& file) {
        if (store.choices().empty()) return;
        fs::create_directories(file.parent_path());
        const AloneAt place(file.string() + ".lock");
        std::map<std::string, ConvChoice> all;
        try {
            if (fs::exists(file)) all = read_plans(store, file);
        } catch (const InputError&) {  // whoever recalled it was told; it is begun anew
        }
        all.insert(store.choices().begin(), store.choices().end());  // what is there stays: runs have been trained by it
        write_plans(store, all, file);
    });
}

void recall_machine_conv_plans(Backend& backend) {
    with_machine_file(backend, [](ConvPlanStore& store, const fs::path& file) { load_conv_plans(store, file); });
}

void save_conv_plans(Backend& backend, const fs::path& path) {
    if (const ConvPlanStore* store = backend.conv_plans()) save_conv_plans(*store, path);
}

void load_conv_plans(Backend& backend, const fs::path& path) {
    if (ConvPlanStore* store = backend.conv_plans()) load_conv_plans(*store, path);
}

}  // namespace distill
