// method_sensing.h: a teacher and a student compared at their sensing points (docs/papers.md §4.2).
// defines: Sensing
#pragma once
#include <string>
#include <vector>

#include "method_teacher.h"

namespace distill {

/// The sensing points of both networks for images of one size, shallow to deep; each shape is one image's.
struct Sensing {
    std::string pair;  ///< for complaints: "teacher wrn-22-4 and student wrn-10-4"
    std::vector<Shape> teacher, student;

    /// Shows both networks (their parameters allocated) an empty image. InputError naming `method` if they have not as many points.
    Sensing(const std::string& method, const Teacher& teacher, const Network& student, Backend& backend, const Shape& image);
    size_t points() const { return student.size(); }
};

}  // namespace distill
