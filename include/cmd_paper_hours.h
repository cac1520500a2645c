// cmd_paper_hours.h: how long a row of data/paper trains on this machine.
// defines: expected_hours
#pragma once
#include <string>

#include "paper.h"

namespace distill {

/// Hours of one run at the row's full length: a few steps with random weights, measured now, times its steps. What is trained first on the
/// teacher's maps counts like the student's epochs, a chain's stages alike. Of a search: a trial goes past 1, 2, 4, … epochs if it is in
/// the better half there, and has four fifths of the images; a graph is one node of each network; what is trained before and after it is
/// about as much as 200 epochs of such a graph 1.8 times (each network alone), and 3 times for each of `seeds` (the best graph and the known
/// methods).
double expected_hours(const PaperRow& row, const std::string& device, int seeds);

}  // namespace distill
