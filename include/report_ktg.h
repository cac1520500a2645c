// report_ktg.h: knowledge transfer graphs and searches in the report.
// defines: collect_searches, write_searches, graph_figures, search_section
#pragma once
#include <iosfwd>
#include <string>
#include <vector>

#include "report.h"

namespace distill {

/// Every folder with a search's journal in these folders and below, by path; one that cannot be read is added to the faults, and so is a
/// file of one that can.
std::vector<SearchHistory> collect_searches(const std::vector<std::filesystem::path>& folders, std::vector<Fault>& faults);

/// What the text report says of the searches: a line each, and the table of their search.csv.
void write_searches(std::ostream& out, const std::vector<SearchHistory>& searches);

/// The graphs of several nodes among these groups, drawn, with the means over their seeds; empty if there is none.
std::string graph_figures(const std::vector<const Group*>& groups);

/// A search's picture, the winner, and search.csv beside plain training, KD and mutual learning, with what `paper` has of its data set.
std::string search_section(const SearchHistory& search, const std::vector<PaperRow>& paper);

}  // namespace distill
