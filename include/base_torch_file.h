// base_torch_file.h: the files of PyTorch's torch.save, zip archives and the older rows of pickles.
// defines: is_torch_file, read_torch_file
#pragma once
#include <string>
#include <string_view>

#include "base_mapped_file.h"
#include "base_weights.h"

namespace distill {

/// Do these bytes begin as a zip archive or a pickle does?
bool is_torch_file(std::string_view bytes);

/// The state dict of a file that torch.save wrote: the value itself, or what it has under `model`, `state_dict`, `model_state_dict` or `net`
/// (one of them). Tensors of half, bfloat16, float, double and long, with any strides that do not overlap, become row-major floats; names are
/// unwrapped(), what is_bookkeeping() is dropped. The rest of the value (optimizer, epoch, …) must be of what base_pickle.h reads; it is
/// not looked at. InputError for all else, with the place: whatever base_pickle.h and base_zip.h refuse, a storage that is shorter than its
/// tensor, strides that overlap or are negative, tensors that share storages so that they take more than twice the file, and for values that
/// are no weights. Takes the tensors' memory, and of the file's at most a tensor's at a time.
WeightFile read_torch_file(const std::string& name, const MappedFile& file);

}  // namespace distill
