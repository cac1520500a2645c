// texts.h: numbers and tables as people read them.
// defines: fixed, aligned, shell_word
#pragma once
#include <set>
#include <string>
#include <vector>

namespace distill {

std::string fixed(double value, int digits = 2);

/// One word of a command line to be copied into a shell: quoted where it must be ('my run').
std::string shell_word(const std::string& word);

/// Rows of equal length as lines, their columns two blanks apart; those named in `right` end together, the others begin so. UTF-8.
std::string aligned(const std::vector<std::vector<std::string>>& rows, const std::set<size_t>& right = {});

}  // namespace distill
