// paper.h: the papers' published numbers, as data/paper/*.csv holds them.
// defines: PaperRow, paper_folder, load_paper, find_paper_row, student_alone
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace distill {

/// One published number. Networks have this program's names where it has them (ResNet50 is not the CIFAR network resnet50). `metric`: top1
/// or top1_best, both test accuracy in %, of the last and of the best epoch. `value` and `std` are empty where the number is not on file.
struct PaperRow {
    std::string id, table, dataset, teacher, student, method, metric;
    std::optional<double> value, std;
    std::string source;
};

/// `asked` if given, else data/paper under the current folder, else data/paper beside the executable.
/// InputError naming the places looked at if there is neither.
std::filesystem::path paper_folder(const std::filesystem::path& asked = {});

/// Every row of every .csv file in `folder`, files in order of name. InputError for no folder or one without a .csv file, for columns other
/// than PaperRow's, a value that is no number, an id that is empty or there twice.
std::vector<PaperRow> load_paper(const std::filesystem::path& folder);

/// The row with this id; InputError naming the nearest ids if there is none.
const PaperRow& find_paper_row(const std::vector<PaperRow>& rows, const std::string& id);

/// The row of the same paper (an id's first word), data set and pair whose method is `student`: what the student reaches without a teacher.
/// Null if none.
const PaperRow* student_alone(const std::vector<PaperRow>& rows, const PaperRow& row);

}  // namespace distill
