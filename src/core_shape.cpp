#include "core_shape.h"

#include "base_error.h"

namespace distill {

std::string to_string(const Shape& s) { return text('(', s.n, ',', s.h, ',', s.w, ',', s.c, ')'); }

}  // namespace distill
