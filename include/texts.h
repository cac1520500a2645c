// texts.h: numbers and tables as people read them.
// defines: fixed, aligned, as_utf8, printable
#pragma once
#include <set>
#include <string>
#include <vector>

namespace distill {

std::string fixed(double value, int digits = 2);

/// Rows of equal length as lines, their columns two blanks apart; those named in `right` end together, the others begin so. UTF-8.
std::string aligned(const std::vector<std::vector<std::string>>& rows, const std::set<size_t>& right = {});

/// The same, if it is UTF-8; else U+FFFD stands for each byte that is part of no character.
std::string as_utf8(const std::string& bytes);
/// The same, if it is printable UTF-8; bytes that are none, and control characters, become \x1B and the like.
std::string printable(const std::string& bytes);

}  // namespace distill
