// graph_batch_svg.h: two networks' graphs of one batch, side by side, its images as nodes.
// defines: BatchImage, BatchGraph, BatchGraphs, GraphShares, graph_shares, batch_graphs_svg
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace distill {

/// A node: an image of the data set.
struct BatchImage {
    int64_t record;
    int label;
    std::string class_name, png;
};

/// takes_from[i][j]: image i takes from image j.
struct BatchGraph {
    std::string title;  ///< whose it is
    std::vector<std::vector<bool>> takes_from;
};

struct BatchGraphs {
    std::vector<BatchImage> images;
    BatchGraph left, right;
};

/// Of the edges between different images, in %: those within a class, and those that both graphs have. 0 where there are no edges.
struct GraphShares {
    double right_left, right_right, overlap;
};
GraphShares graph_shares(const BatchGraphs& graphs);

/// Both graphs as circles of the same images in the same places, class by class; an edge ends in a dot at the image that takes. Its colour
/// says whether it stays within a class, its weight whether the other graph has it, too.
std::string batch_graphs_svg(const BatchGraphs& graphs);

}  // namespace distill
