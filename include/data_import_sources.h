// data_import_sources.h: what `data import` can read, each kind listed as labels and a way to draw image i.
// defines: Drawn, ImportPart, ImportSource, list_tiny_imagenet, list_class_folders, list_fashion_mnist
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "dataset_writer.h"

namespace distill {

struct ImportOptions;

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
