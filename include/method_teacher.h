// method_teacher.h: the frozen networks that a method learns from.
// defines: require_network, Teacher, generation_after, Teachers, pointers, settle_teachers, load_teachers
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core_streams.h"
#include "net.h"
#include "train_options.h"

namespace distill {

/// The rule for every weight file of a network, --init, eval, teachers and nodes alike: InputError if one of this program's own (own_word)
/// says that it is another network, or of another number of classes (0: any will do).
void require_network(const std::string& file, const std::map<std::string, std::string>& metadata, const std::string& network, int classes);

/// A trained network that is only looked at: its passes are never recorded.
class Teacher {
  public:
    /// options.teacher with random weights (of `distill bench`, and of checks).
    Teacher(Backend& backend, const Options& options, int classes, int stream = 1);
    /// The same with the weights of options.teacher_weights. InputError if the file is not given or not that network's; where it says
    /// itself which network it is, one that it is too small for is never allocated.
    static std::unique_ptr<Teacher> load(Backend& backend, const Options& options, int classes, int stream = 1);
    /// Runs on its side stream. `mode`: its BatchNorm takes the running statistics, or the batch's (what ReviewKD's authors' code does).
    Beside<Output> operator()(const Var& images, Keep keep = Keep::last, Mode mode = Mode::evaluate) const;
    const Network& network() const { return *network_; }
    std::map<std::string, HostTensor> weights() const { return parameters_.to_file(); }
    const std::string& file() const { return file_; }
    const std::map<std::string, std::string>& metadata() const { return metadata_; }

  private:
    Teacher(Backend& backend, int stream) : parameters_(backend, false), stream_(stream) {}
    /// Registers options.teacher's weights.
    void add_network(const Options& options, int classes);

    Parameters parameters_;
    std::unique_ptr<Network> network_;
    std::string file_;
    std::map<std::string, std::string> metadata_;
    int stream_;
};

/// The generation (see start_key) of who learns from a network with these metadata; a stranger's learnt from labels alone.
int generation_after(const std::map<std::string, std::string>& metadata);

using Teachers = std::vector<std::unique_ptr<Teacher>>;
std::vector<const Teacher*> pointers(const Teachers& teachers);

/// Completes what --teachers and --teacher-nets say: the files' networks, joined by '+', become options.teacher.
/// InputError: no teacher, a file that does not say its network, a list of another length.
void settle_teachers(Options& options);
/// options.teachers (settled), each on a stream of its own; else the one teacher of options.teacher_weights. In a check
/// (options.check_only) one that --train-teachers is still to train has random weights, and no file().
Teachers load_teachers(Backend& backend, const Options& options, int classes);

}  // namespace distill
