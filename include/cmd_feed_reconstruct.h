// cmd_feed_reconstruct.h: how much of the teachers' last maps can be told from a student's (docs/papers.md §3.5).
// defines: ReconstructOptions, MapDecoder, add_reconstruct_command
#pragma once
#include "data_loader.h"
#include "method_features.h"
#include "method_teacher.h"
#include "train_options.h"

namespace distill {

class Subcommand;

struct ReconstructOptions {
    std::string students;  ///< a list, as --teachers
    int depth = 3;         ///< of a decoder
    double slope = 0.1;
};

/// A small decoder from a frozen student's last map to a frozen teacher's, both in evaluation mode. It has the shape of FEED's
/// transformation layer, 3×3 convolutions C_s→C_t→…→C_t with a LeakyReLU between them, but the last one is linear. Where the maps differ
/// in size, the larger one is pooled (as feature_loss does). It is trained on the images of the training set, with the run's
/// augmentation, to the least mean squared error; errors are then taken on the test images.
class MapDecoder {
  public:
    /// Of the options the schedule and the seed count. `loader` gives the test images.
    MapDecoder(Backend& backend, const Loader& loader, const Teacher& student, const Teacher& teacher, const Options& options,
               const ReconstructOptions& own);

    struct Error {
        double relative_mse = 0;   ///< mean (decoded − map)² / the map's variance: 0 is perfect, 1 what the channels' means achieve
        double feed_distance = 0;  ///< feature_loss as FEED has it: L1 of the L2-normalised maps, mean over all elements
    };
    Error test() const;
    /// Trains it on relative_mse with the variance of the test images, so that errors compare. Calls itself `name`.
    Phase phase(const std::string& name);
    int64_t count() const { return parameters_.count(); }

  private:
    struct Pair {
        Var decoded, map;  ///< of equal sizes
    };
    Pair look(const Batch& batch) const;
    double test_variance() const;

    Backend& backend_;
    const Loader& loader_;
    const Teacher &student_, &teacher_;
    const Options& options_;
    std::vector<int> lr_steps_;
    Parameters parameters_;
    ConvChain decoder_;
    double variance_;  ///< of the map around the means of its channels, over the test images
};

/// `feed reconstruct`: a row of reconstruct.csv for each student and teacher, kept as soon as it is known; an interrupted command goes on
/// with --resume inside the pair where it stopped.
void add_reconstruct_command(Subcommand feed);

}  // namespace distill
