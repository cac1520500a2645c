#include "base_version.h"

#ifndef DISTILL_COMMIT  // the Makefile asks git; the file is recompiled when the answer changes
#define DISTILL_COMMIT "unknown"
#endif

namespace distill {

std::string commit() { return DISTILL_COMMIT; }

}  // namespace distill
