#include "method_singular_vectors.h"

#include "base_error.h"

namespace distill {
namespace {

constexpr int of_teacher = 1, of_student = 4;  // singular vectors of a map

std::string listed(const std::vector<int64_t>& channels) {
    std::string all;
    for (const int64_t c : channels) all += (all.empty() ? "" : ", ") + std::to_string(c);
    return channels.empty() ? "none" : all;
}

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

void require_paired_points(const Network& student, const Network& teacher) {
    const std::vector<int64_t>&s = student.sensing_channels(), &t = teacher.sensing_channels();
    if (s != t || s.size() < 2)
        input_error("the sensing points of teacher ", teacher.name(), " (channels ", listed(t), ") and student ", student.name(),
                    " (channels ", listed(s), ") do not pair; name networks of as many stages and of the same widths");
}

}  // namespace distill
