// base_version.h: which source this program was built from.
// defines: commit
#pragma once
#include <string>

namespace distill {

/// The git commit, "-dirty" if the tree had changes, or "unknown" outside a checkout.
std::string commit();

}  // namespace distill
