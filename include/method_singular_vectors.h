// method_singular_vectors.h: a batch at the ends of a network's stages, compressed to vectors: where MHGD (arXiv 1907.02226) and KD-SVD
// begin (docs/papers.md §4.3).
// defines: teacher_vectors, student_vectors
#pragma once
#include <vector>

#include "op_autograd.h"

namespace distill {

/// V_T of each map (N,H,W,D): the first right singular vector of each sample's (H·W, D), of length 1, components summing to ≥ 0: (N,1,1,D).
std::vector<Var> teacher_vectors(const std::vector<Var>& maps);
/// V_S of each map: of its first four such vectors the one that is most alike the teacher's, with its sign.
std::vector<Var> student_vectors(const std::vector<Var>& maps, const std::vector<Var>& teacher);

}  // namespace distill
