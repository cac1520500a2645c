// net_pair.h: which teacher and student a method can pair, and why not.
// defines: Need, require_pair, pair_stages
#pragma once
#include <string>
#include <vector>

#include "net.h"

namespace distill {

/// What a method asks of two networks; the last two for the images that it is given. What is asked of stages asks for as many of each.
enum class Need {
    as_many_stages,   ///< whatever they are
    two_stages,       ///< two or more
    pooled_vector,    ///< both have one (Output::pooled)
    same_channels,    ///< each stage's map has as many
    same_stems,       ///< the stems' maps have as many channels, or neither network has one
    same_sizes,       ///< each stage's map is as high and as wide
    sizes_by_halving  ///< in each network: halving a map's size, once or several times, gives the next one's
};

/// InputError that names the method, both networks, and the first need that they do not meet: what each has, and what to name instead.
/// With an image (1,H,W,3) also Network::require_images of both.
void require_pair(const std::string& method, const Network& teacher, const Network& student, const std::vector<Need>& needs,
                  const Shape& image = {});
/// The same of networks by name, before a weight is loaded.
void require_pair(const std::string& method, const std::string& teacher, const std::string& student, const std::vector<Need>& needs,
                  const Shape& image = {});

/// How many stages are compared by a method that pairs them by their place: those that both networks have. Where one has more, its deeper
/// ones are left out, as the CRD benchmark's lists end with the shorter (docs/papers.md §6), and a sentence that says so joins the notes.
size_t pair_stages(const Network& teacher, const Network& student, std::vector<std::string>& notes);

}  // namespace distill
