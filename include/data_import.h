// data_import.h: image files and idx files into the program's binary records.
// defines: import_dataset
#pragma once
#include "data_import_sources.h"

namespace distill {

/// Decodes, resizes (resize_to_planes) and writes a data set, all of it or nothing.
///
///     tiny-imagenet  the official tree: wnids.txt (order of the classes), train/<wnid>/images/*, val/images/* by val/val_annotations.txt
///     images         FROM/train/<class>/* and FROM/test/<class>/* (or val/, valid/, validation/): classes sorted by name, every visible
///                    file but Thumbs.db and its like an image; with test_part FROM/train/<class>/* or FROM/<class>/*, split by class
///     fashion-mnist  {train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz]: zero-padded from 28 to 32, grey copied to three channels
///
/// Training records are written in a pseudo-random order that is the same for every import (`--shuffle off` then still sees mixed
/// classes), test records in the source's. InputError naming file, place, found and expected for: a source that is missing or laid out
/// otherwise, a class folder without images, files that are no whole images (all of them), val_annotations.txt missing or naming an
/// unknown class. Prints what the user may not expect: images turned, alpha dropped, classes without a test image, twins (Twins).
/// Memory: a few MiB beside the list of files, whatever the size of the set.
void import_dataset(const ImportOptions& options);

}  // namespace distill
