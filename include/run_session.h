// run_session.h: what a training works with: a device, the data set, teachers.
// defines: Session, open_session, MethodFactory, start_method, load_weights, warn_if_trained_otherwise, require_same_classes,
//          require_finite, warn_of_normalization
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "data_loader.h"
#include "method.h"
#include "method_teacher.h"

namespace distill {

/// One thread's. Trainings side by side each have one; they share the data set, which is only read.
struct Session {
    Session() = default;
    Session(Session&&) = default;
    Session& operator=(Session&&) = delete;  // it would close the device before what lies in its memory

    std::unique_ptr<Backend> backend;
    std::shared_ptr<const Dataset> data;          ///< all but the pixels, which are on_device
    std::shared_ptr<const DeviceData> on_device;  ///< in memory of the session that was opened first
    Normalization normalization;
    Teachers teachers;  ///< none for plain training

    LoaderOptions loader_options(const Options& options) const;
    Setting setting() const;          ///< for its methods
    std::string data_sha256() const;  ///< of the images and labels that a run trains and tests on; computed anew
    /// Another one on the same device, with a backend and teachers of its own, for the thread that calls this. This one must stay,
    /// and stay as it is, as long as the other is there.
    Session beside(const Options& options) const;
};

/// Opens the device, reads the data set (with --per-class and --val applied) and resolves options.normalize, threads and device in place.
Session open_session(Options& options);

/// Called by several threads at once, each with its own session.
using MethodFactory = std::function<std::unique_ptr<Method>(Session&, const Options&)>;

/// The method with its start weights (--init, if given): a plain student; a file with the student under "student." and the helpers beside
/// it; or the helpers alone, as a run keeps them in helpers.safetensors. A classifier of another number of classes is left out, in a line.
/// Also what the method's preparation trains apart (a paraphraser), if the file has it; it must, where the preparation has no epochs.
/// InputError if one of its networks, or a teacher, is not made for the data's images.
std::unique_ptr<Method> start_method(Session& session, const Options& options, const MethodFactory& make);

/// All the weights of `network`, which `parameters` have as the student, from its file. Returns the file's metadata.
std::map<std::string, std::string> load_weights(Parameters& parameters, const std::string& path, const Network& network);

/// Prints a line, once (tell_once), for each of data set, normalisation (known_word) and classes (the first that differs) in which a weight
/// file's metadata differ from the options (resolved) and the data.
void warn_if_trained_otherwise(const std::string& path, const std::map<std::string, std::string>& metadata, const Options& options,
                               const Dataset& data);
/// For a network that teaches: InputError if its classes are others than the data's or in another order, or may be so, because the file
/// names another data set (known_word) and not its classes; unless options.other_classes.
void require_same_classes(const std::string& path, const std::map<std::string, std::string>& metadata, const Options& options,
                          const Dataset& data);
/// For a trained network from the file `path`: InputError if its test loss is not finite.
void require_finite(const std::string& path, const Network& network, const Evaluation& test);
/// Prints a warning if all six numbers of a --normalize are at most 1: they are of 255.
void warn_of_normalization(const std::string& six_numbers);

}  // namespace distill
