#include "run_many.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>

#include "base_csv.h"
#include "base_error.h"
#include "base_files.h"
#include "base_safetensors.h"
#include "base_texts.h"
#include "base_version.h"
#include "core_backend.h"
#include "data_class_order.h"
#include "method_table.h"
#include "train_interruption.h"
#include "train_schedule.h"

namespace distill {
namespace {

/// A network that has no weights of its own (a graph's ensemble) gets no file.
void save_network(const fs::path& path, const Parameters& parameters, const std::string& prefix, const Network& network,
                  const std::string& method, const Options& o, const std::string& class_names, double accuracy) {
    WeightFile file;
    file.tensors = parameters.to_file(prefix);
    file.metadata = {{"network", network.name()},
                     {"classes", std::to_string(network.classes())},
                     {"dataset", o.dataset},
                     {"normalization", o.normalize},
                     {"method", method},
                     {"seed", std::to_string(o.seed)},
                     {"role", o.role},
                     {"generation", std::to_string(o.generation)},
                     {"accuracy", number(accuracy)}};
    if (!class_names.empty()) file.metadata["class_names"] = class_names;
    if (!file.tensors.empty()) write_safetensors(path, file);
}

/// Everything that is no network's: the method's helper modules, those that it prepared apart among them.
void save_helpers(const fs::path& path, Method& method) {
    std::vector<std::string> networks = {student_prefix};
    for (const OtherNetwork& other : method.others())
        if (!other.prefix.empty()) networks.push_back(other.prefix);
    WeightFile file;
    for (auto& [name, tensor] : method.parameters().to_file())
        if (std::none_of(networks.begin(), networks.end(), [n = name](const auto& p) { return starts_with(n, p); }))
            file.tensors[name] = std::move(tensor);
    for (const Phase& phase : method.phases())
        if (phase.parameters != &method.parameters()) file.tensors.merge(phase.parameters->to_file());
    file.metadata = method.helper_metadata();
    if (!file.tensors.empty()) write_safetensors(path, file);
}

/// Of one of the tables that get a row an epoch; what a kill has left of the last row does not count.
size_t rows_in(const fs::path& table) {
    if (!fs::exists(table)) return 0;
    const std::string bytes = read_file(table);
    const auto lines = static_cast<size_t>(std::count(bytes.begin(), bytes.end(), '\n'));
    return lines - std::min<size_t>(lines, 1);  // the header
}

/// Refuses an unfinished run that has lost its checkpoint: it would begin again, and wipe its tables. A checkpoint follows every row of them,
/// so two prove that there was one; a single row may be what a kill left before the first.
void require_checkpoint(const RunFolder& folder, Method& method) {
    if (folder.finished() || fs::exists(folder.checkpoint())) return;
    size_t epochs = rows_in(folder.file("epochs.csv"));
    for (const Phase& phase : method.phases()) epochs += rows_in(folder.path() / (phase.name + ".csv"));
    if (epochs > 1)
        input_error(folder.checkpoint().string(), ": is gone, and without it the run cannot go on from the ", epochs,
                    " epochs in its tables; restore it, or start anew: remove ", folder.path().string(),
                    ", or name another folder with --run");
}

/// A run that is to become longer is unfinished again.
void extend(RunFolder& folder, const Options& o) {
    if (folder.finished() && !fs::exists(folder.checkpoint()))
        input_error(folder.checkpoint().string(), ": is gone, and without it the finished run cannot go on to --epochs ", o.epochs,
                    "; restore it, or start anew in another folder");
    fs::remove(folder.file("result.csv"));
    const Config then = folder.config();
    folder.set_options({{"epochs", std::to_string(o.epochs)},
                        {"info.by_hand", told_when_longer(value_of(then, "info.by_hand"), epochs_of(folder), o.epochs)}});
}

/// Of the files that a graph's nodes start from the frozen nodes' alone are known by content: another may draw other batches.
void require_same_start(const RunFolder& folder, const Config& config) {
    const Config then = folder.config();
    for (const char* key : {"info.role", "info.generation"})
        if (const std::string before = value_of(then, key), now = value_of(config, key); before != now)
            input_error(folder.path().string(), ": was started with ", key + 5, " ", before, ", from the files named now follows ", now,
                        ", by which other batches are drawn; name those that it was started with, or start anew in another folder");
}

/// `name`: of the run among several at work, else empty. Whether there was something to train.
bool train_run(Session& session, const PlannedRun& run, const std::string& name, const MethodFactory& make) {
    const Options& o = run.options;
    const bool known = o.resume && fs::exists(run.folder);  // else create() refuses a folder that appeared meanwhile
    if (known && RunFolder::reopen(run.folder).finished() && epochs_of(RunFolder::reopen(run.folder)) >= o.epochs) {
        std::printf("%s: finished before, skipped\n", run.folder.c_str());
        return false;
    }
    RunFolder folder = known ? RunFolder::reopen(run.folder) : RunFolder::create(run.folder, run.config);
    folder.lock();
    if (known) require_same_input(folder, run.config), require_same_start(folder, run.config);

    Loader loader(*session.backend, session.on_device, session.loader_options(o));
    const TrainingResult r = *train_in_folder(run.method, session, loader, o, folder, make, {}, name);
    std::printf("%s: last %.2f %%, best %.2f %% (epoch %d), %s\n", run.folder.c_str(), r.last, r.best, r.best_epoch + 1,
                duration(r.seconds).c_str());
    std::fflush(stdout);
    return true;
}

/// What went wrong in several trainings.
class Complaints {
  public:
    /// Call it in a handler: `where` failed with the exception in flight.
    void add(const std::string& where) {
        const std::lock_guard<std::mutex> lock(mutex_);
        try {
            throw;
        } catch (const Interrupted&) {
            ++interrupted_;
        } catch (const InputError& e) {
            failed_.push_back(where + ": " + e.what());
            ++input_errors_;
        } catch (const std::exception& e) {
            failed_.push_back(where + ": " + e.what());
        }
    }
    /// Throws what there is, if any, of `runs` in the folder `base`; `all_begun`: none was left out. `given_anew`: as Options has it.
    void rethrow(const fs::path& base, size_t runs, bool all_begun, const std::string& given_anew) const {
        const std::string stopped = interrupted_ == 0 && all_begun ? ""
                                                                   : text("interrupted; ", interrupted_, " of ", runs,
                                                                          " runs, those under way, wrote checkpoints; go on with ",
                                                                          "--resume --run ", shell_word(base.string()), given_anew);
        if (!failed_.empty()) {
            std::string all = text(failed_.size(), " failure(s) in ", runs, " runs: ");
            for (const std::string& f : failed_) all += (&f == &failed_.front() ? "" : " | ") + f;
            if (!stopped.empty()) all += " | " + stopped;
            input_errors_ == failed_.size() ? input_error(all) : failure(all);
        }
        if (!stopped.empty()) throw Interrupted(stopped);
    }

  private:
    std::mutex mutex_;
    std::vector<std::string> failed_;
    size_t input_errors_ = 0, interrupted_ = 0;
};

}  // namespace

int epochs_of(const RunFolder& folder) { return std::atoi(value_of(folder.config(), "epochs").c_str()); }

void require_same_input(const RunFolder& folder, const Config& config) {
    for (const auto& [name, value] : folder.config())
        for (const auto& [key, now] : config)
            if (key == name && value != now && is_checksum(key))
                input_error(folder.path().string(), ": the ",
                            key == "info.data_sha256" ? "data set" : key.substr(5, key.size() - 12) + "'s file",
                            " is not the one this run was started with (SHA-256 ", now.substr(0, 12), "…, expected ", value.substr(0, 12),
                            "…); restore it, or start anew in another folder");
}

std::optional<TrainingResult> train_in_folder(const std::string& method_name, Session& session, Loader& loader, const Options& o,
                                              RunFolder& folder, const MethodFactory& make, const AfterEpoch& goes_on,
                                              const std::string& name) {
    const std::unique_ptr<Method> method = start_method(session, o, make);
    method->require_same_run(folder);
    require_checkpoint(folder, *method);
    if (epochs_of(folder) < o.epochs) extend(folder, o);
    bool stopped = false;
    const TrainingResult r = Trainer(*session.backend, loader, *method, o, folder, name, may_change).run([&](int epochs, double accuracy) {
        return !(stopped = goes_on && !goes_on(epochs, accuracy));
    });
    if (stopped) return std::nullopt;
    const auto save = [&](const fs::path& path, const std::string& prefix, const Network& network, double accuracy) {
        save_network(path, method->parameters(), prefix, network, method_name, o, class_names_text(session.data->class_names), accuracy);
    };
    save(folder.file("student.safetensors"), student_prefix, method->student(), r.last);
    const std::vector<OtherNetwork> others = method->others();
    for (size_t i = 0; i < others.size(); ++i)  // "node1." is kept in node1.safetensors
        if (const std::string& prefix = others[i].prefix; !prefix.empty())
            save(folder.path() / (prefix + "safetensors"), prefix, *others[i].network, r.others[i]);
    save_helpers(folder.file("helpers.safetensors"), *method);
    folder.write_result({o.id, o.dataset, o.teacher, o.student, method_name, std::to_string(o.seed), r.last, r.best, r.best_epoch,
                         r.seconds, o.device, o.precision, commit()});
    if (!o.save.empty() && o.makes_copy)
        save(o.save, student_prefix, method->student(), r.last);  // the run is whole, whatever becomes of the copy
    return r;
}

void train_runs(Session& session, const std::vector<PlannedRun>& runs, int side_by_side, const MethodFactory& make) {
    if (runs.size() == 1) {
        train_run(session, runs.front(), "", make);
        return;
    }
    const size_t workers = std::min(runs.size(), static_cast<size_t>(side_by_side));
    std::atomic<size_t> next{0};
    Complaints complaints;
    const auto work = [&](Session& with) {
        bool begun = false;  // one at least: a --time-limit that is up at once must not be so for ever
        while (!begun || !interruption()) {
            const size_t i = next++;
            if (i >= runs.size()) break;
            const std::string name = runs[i].folder.filename().string();
            try {
                begun |= train_run(with, runs[i], workers > 1 ? name : "", make);
            } catch (...) {
                begun = true;
                complaints.add(name);
            }
        }
    };
    if (workers <= 1) {
        work(session);
    } else {
        std::vector<std::thread> threads;
        for (size_t i = 0; i < workers; ++i)
            threads.emplace_back([&] {
                try {
                    Session own = session.beside(runs.front().options);
                    work(own);
                } catch (...) {
                    complaints.add("a session beside the others");  // the runs it would have taken fall to the others
                }
            });
        for (std::thread& thread : threads) thread.join();
    }
    complaints.rethrow(runs.front().folder.parent_path(), runs.size(), next >= runs.size(), runs.front().options.given_anew);
}

}  // namespace distill
