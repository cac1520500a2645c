// texts.h: numbers and tables as people read them.
// defines: fixed, signed_fixed, shell_word, aligned, valid_utf8
#pragma once
#include <set>
#include <string>
#include <vector>

namespace distill {

std::string fixed(double value, int digits = 2);
std::string signed_fixed(double value);  ///< "+1.20", "−0.31", "+0.00"

/// One word of a command line to be copied into a shell: quoted where it must be ('my run').
std::string shell_word(const std::string& word);

/// Rows of equal length as lines, their columns two blanks apart; those named in `right` end together, the others begin so. UTF-8.
std::string aligned(const std::vector<std::vector<std::string>>& rows, const std::set<size_t>& right = {});

/// The text with U+FFFD for every byte that belongs to no UTF-8 character (RFC 3629), and for control characters but tab and line ends,
/// which no markup may hold: names of files and folders can be any bytes.
std::string valid_utf8(const std::string& bytes);

}  // namespace distill
