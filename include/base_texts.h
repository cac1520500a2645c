// base_texts.h: lists, numbers and tables as people read them.
// defines: joined, split, starts_with, ends_with, fixed, signed_fixed, shell_word, aligned, first_characters, as_utf8, printable, utc_now,
//          duration
#pragma once
#include <set>
#include <string>
#include <vector>

namespace distill {

/// "a, b, c".
std::string joined(const std::vector<std::string>& words, const char* between = ", ");

/// The parts between separators: "a,b," is "a", "b"; an empty text has none.
std::vector<std::string> split(const std::string& text, char separator);

bool starts_with(const std::string& text, const std::string& beginning);
bool ends_with(const std::string& text, const std::string& end);

std::string fixed(double value, int digits = 2);
std::string signed_fixed(double value);  ///< "+1.20", "−0.31", "+0.00"

/// One word of a command line to be copied into a shell: quoted where it must be ('my run').
std::string shell_word(const std::string& word);

/// Rows of equal length as lines, their cells printable(), their columns two blanks apart; those named in `right` end together, the others
/// begin so.
std::string aligned(const std::vector<std::vector<std::string>>& rows, const std::set<size_t>& right = {});

std::string first_characters(const std::string& utf8, size_t count);

/// The same, if it is UTF-8; else U+FFFD stands for each byte that is part of no character.
std::string as_utf8(const std::string& bytes);
/// The same, if it is printable UTF-8; bytes that are none, and control characters, become \x1B and the like.
std::string printable(const std::string& bytes);
std::vector<std::vector<std::string>> printable(std::vector<std::vector<std::string>> rows);  ///< each cell so

std::string utc_now();                 ///< "2026-11-29 06:30:00"
std::string duration(double seconds);  ///< "1:02:03"

}  // namespace distill
