// command.h: runs the program that lies beside the tests, as a user would.
// defines: testing::Ended, testing::Command, testing::run, testing::succeed, testing::output_of, testing::check_rejected,
//          testing::subcommands_in, testing::listing, testing::without_seconds, testing::lines_in, testing::wait_until,
//          testing::check_same_training
#pragma once
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "testing.h"

namespace distill::testing {

struct Ended {
    int code = 0;  ///< exit status; 128 + n if signal n ended it
    std::string out, err;
};

/// The program at work in a folder; its arguments are the words of a line.
class Command {
  public:
    Command(const TempFolder& folder, const std::string& line);
    ~Command();  ///< kills it if nobody waited
    Command(const Command&) = delete;
    Command& operator=(const Command&) = delete;

    void send(int signal);  ///< nothing, where it has ended
    bool running();         ///< does not wait
    pid_t pid() const { return child_; }
    Ended wait();

  private:
    std::string taken(int fd) const;
    pid_t child_ = -1;
    int out_, err_, status_ = 0;
};

Ended run(const TempFolder& folder, const std::string& line);

/// The command ends with 0, and says all the parts.
void succeed(const TempFolder& folder, const std::string& line, const std::vector<std::string>& parts = {});

/// What the command prints, which ends with 0.
std::string output_of(const TempFolder& folder, const std::string& line);

/// The subcommands that a `--help` lists.
std::vector<std::string> subcommands_in(const std::string& help);

/// The command ends with 2, one line on stderr that has all the parts, and every file under the folder as it was.
void check_rejected(const TempFolder& folder, const std::string& line, const std::vector<std::string>& parts);

/// Every file and folder under `folder`, with its bytes (empty for a folder).
std::map<std::string, std::string> listing(const fs::path& folder);

/// A table's text with the column `seconds` emptied: what equal runs share.
std::string without_seconds(const fs::path& csv);

/// Whole lines of a file that may be in the making; of none 0.
size_t lines_in(const fs::path& file);

/// Until that holds, or the command has ended.
void wait_until(Command& command, const std::function<bool()>& reached);

/// Weights, helpers, steps and tables but for their seconds are the same, byte for byte.
void check_same_training(const fs::path& a, const fs::path& b);

}  // namespace distill::testing
