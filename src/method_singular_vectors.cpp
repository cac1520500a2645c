#include "method_singular_vectors.h"

#include "ops.h"

namespace distill {
namespace {

constexpr int of_teacher = 1, of_student = 4;  // singular vectors of a map

}  // namespace

std::vector<Var> teacher_vectors(const std::vector<Var>& maps) {
    std::vector<Var> vectors;
    for (const Var& map : maps) vectors.push_back(right_singular_vectors(map, of_teacher));
    return vectors;
}

std::vector<Var> student_vectors(const std::vector<Var>& maps, const std::vector<Var>& teacher) {
    std::vector<Var> vectors;
    for (size_t i = 0; i < maps.size(); ++i)
        vectors.push_back(align_vectors(right_singular_vectors(maps[i], of_student), teacher[i].value()));
    return vectors;
}

}  // namespace distill
