// paper.h: the papers' published numbers, as data/paper/*.csv holds them.
// defines: PaperRow, paper_folder, load_paper, find_paper_row, student_alone
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace distill {

/// One published number, and the training that reproduces it. Networks have this program's names where it has them (ResNet50 is not the
/// CIFAR network resnet50). `method`: as the table calls it. `metric`: top1 or top1_best, both test accuracy in %, of the last and of the
/// best epoch; nothing else. `value` and `std` are empty where the number is not on file.
struct PaperRow {
    std::string id, table, dataset, teacher, student, method, metric;
    std::optional<double> value, std;
    std::string source;
    std::string command{};  ///< the subcommand that trains it ("feed parallel"); empty: the number is on file for the report only
    /// What the training is told beside data set, teacher and student, by the option's name without dashes. A value may name trained
    /// networks of other rows: {ID} is that row's student of seed 0, {ID:3} those of seeds 0 to 2, separated by commas.
    std::vector<std::pair<std::string, std::string>> options{};
    std::string file{};    ///< that it stands in, without ".csv"
    std::string folder{};  ///< in which that file lies

    std::string method_name() const { return command.substr(0, command.find(' ')); }  ///< of the method table; empty without a command
    /// The network that is trained: what the options say, else the student.
    std::string trained() const;
    /// Rows of which this is equal are one training.
    std::string training() const;
    std::string where() const;  ///< for messages: "data/paper/crd.csv, row ID"
};

/// `asked` if given, else data/paper under the current folder, else that of the project which the executable lies in.
/// InputError naming the places looked at if there is neither.
std::filesystem::path paper_folder(const std::filesystem::path& asked = {});

/// Every row of every .csv file in `folder`, files in order of name. InputError for no folder or one without a .csv file, for columns other
/// than PaperRow's, another metric, a value that is no number, an option without a name or a value, an id that is empty or there twice.
std::vector<PaperRow> load_paper(const std::filesystem::path& folder);

/// The row with this id; if there is none, InputError naming the folder, its files and the nearest ids.
const PaperRow& find_paper_row(const std::vector<PaperRow>& rows, const std::string& id);

/// What the student reaches without a teacher: the row of the same paper (an id's first word), data set and pair whose method is `student`
/// (beside somebody's reproduction theirs), of the same table and metric where there is one, else the first. Null if none.
const PaperRow* student_alone(const std::vector<PaperRow>& rows, const PaperRow& row);

}  // namespace distill
