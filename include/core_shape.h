// core_shape.h: shapes. Activations are N,H,W,C; convolution weights K,R,S,C; a matrix is (rows,1,1,columns).
// defines: Shape, to_string
#pragma once
#include <cstdint>
#include <string>

namespace distill {

/// Four extents, the last one contiguous. Unused ones are 1.
struct Shape {
    int64_t n = 1, h = 1, w = 1, c = 1;
    int64_t size() const { return n * h * w * c; }
    int64_t pixels() const { return n * h * w; }      ///< rows of c channels
    int64_t per_sample() const { return h * w * c; }  ///< elements of one n
    bool operator==(const Shape& o) const { return n == o.n && h == o.h && w == o.w && c == o.c; }
    bool operator!=(const Shape& o) const { return !(*this == o); }
};
std::string to_string(const Shape& s);  ///< "(128,32,32,16)"

}  // namespace distill
