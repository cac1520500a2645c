// data_import_sources.h: what `data import` can read, each kind listed as labels and a way to draw image i.
// defines: ImportOptions, Drawn, ImportPart, ImportSource, list_tiny_imagenet, list_class_folders, list_fashion_mnist
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "dataset_writer.h"

namespace distill {

struct ImportOptions {
    std::string kind;                     ///< tiny-imagenet, images or fashion-mnist
    std::filesystem::path from;           ///< source; empty: DATA/tiny-imagenet-200, or Debian's dataset-fashion-mnist
    std::filesystem::path data = "data";  ///< where DATA/<dataset>/ is made
    std::string dataset;                  ///< empty: the kind's name
    int size = 0;                         ///< side of the square images; 0: 64 for tiny-imagenet, 32 for fashion-mnist
    int classes = 0;                      ///< only the first so many; 0: all
    int limit = 0;                        ///< at most so many images a class in each part; 0: all
    double test_part = 0;                 ///< images: of each class's, so much becomes the test part; 0: the tree has one
    bool force = false;                   ///< replace a set of this name
    bool quiet = false;                   ///< no progress, no closing line
};

/// What was done to an image that its user may not expect (as in Image).
struct Drawn {
    bool turned = false, transparent = false;
};

/// labels[i] belongs to the image that draw(i, planes) writes as 3 x size x size bytes (R, G, B). draw may be called by several threads.
struct ImportPart {
    std::vector<int32_t> labels;
    std::function<Drawn(size_t, uint8_t*)> draw;
};

struct ImportSource {
    std::vector<ClassName> classes;
    ImportPart train, test;
    std::vector<std::string> notes;  ///< lines for the user: what of the source is not read
};

/// Each checks the source's layout and lists it in order; image files are only opened by draw. Options: from, size, classes, limit,
/// test_part, all resolved. Errors: import_dataset's.
ImportSource list_tiny_imagenet(const ImportOptions& options);
ImportSource list_class_folders(const ImportOptions& options);
ImportSource list_fashion_mnist(const ImportOptions& options);

}  // namespace distill
