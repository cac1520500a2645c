// data_jpeg_scans.h: whether a JPEG's scans hold all of its blocks.
// defines: check_jpeg_scans
#pragma once
#include <string_view>

namespace distill {

/// Reads a JPEG's codes as the decoder does, without making a picture of them; what is no JPEG passes. For images that check_jpeg() and the
/// decoder's look at the header let pass, and of a size that memory is there for. InputError with the reason alone (no file's name) where
/// a marker ends a scan's data, or a restart interval's, before its last block: the decoder takes zeros for what is missing, or leaves
/// memory as it found it; where a component has no scan, which is uninitialised memory, too; for restart markers in another order. Whatever
/// the decoder itself refuses may pass: codes that no table has, and data that goes on where the file ends.
void check_jpeg_scans(std::string_view bytes);

}  // namespace distill
