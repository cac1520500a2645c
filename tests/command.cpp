#include "command.h"

#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>
#include <thread>

#include "base_csv.h"
#include "base_files.h"
#include "complaints.h"
#include "train_run_folder.h"

extern char** environ;

namespace distill::testing {

Command::Command(const TempFolder& folder, const std::string& line)
    : out_(::memfd_create("stdout", MFD_CLOEXEC)), err_(::memfd_create("stderr", MFD_CLOEXEC)) {
    require_no_kernels("starts the program");
    std::vector<std::string> words{program_beside().string()};
    std::istringstream in(line);
    for (std::string word; in >> word;) words.push_back(word);
    std::vector<char*> args, environment;
    for (std::string& word : words) args.push_back(word.data());
    args.push_back(nullptr);
    // Threads that wait for each other must not keep a busy machine's cores from the one that works.
    std::string passive = "OMP_WAIT_POLICY=passive";
    for (char** variable = environ; *variable; ++variable) environment.push_back(*variable);
    environment.push_back(passive.data());
    environment.push_back(nullptr);

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, folder.path().c_str());
    posix_spawn_file_actions_adddup2(&actions, out_, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err_, STDERR_FILENO);
    const int error = ::posix_spawn(&child_, args[0], &actions, nullptr, args.data(), environment.data());
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) throw std::runtime_error(words[0] + ": cannot be started (" + std::strerror(error) + ")");
}

Command::~Command() {
    if (running()) ::kill(child_, SIGKILL), ::waitpid(child_, &status_, 0);
    ::close(out_);
    ::close(err_);
}

void Command::send(int signal) {
    if (running()) ::kill(child_, signal);  // -1, which stands for a child that has ended, would be every process of this user
}

bool Command::running() {
    if (child_ < 0) return false;
    if (::waitpid(child_, &status_, WNOHANG) == 0) return true;
    child_ = -1;
    return false;
}

Ended Command::wait() {
    while (child_ >= 0 && ::waitpid(child_, &status_, 0) < 0 && errno == EINTR) {
    }
    child_ = -1;
    return {WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_), taken(out_), taken(err_)};
}

std::string Command::taken(int fd) const {
    std::string bytes(static_cast<size_t>(::lseek(fd, 0, SEEK_END)), '\0');
    if (::pread(fd, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
        throw std::runtime_error("a command's output is lost");
    return bytes;
}

Ended run(const TempFolder& folder, const std::string& line) { return Command(folder, line).wait(); }

void succeed(const TempFolder& folder, const std::string& line, const std::vector<std::string>& parts) {
    INFO("distill " << line);
    const Ended end = run(folder, line);
    CAPTURE(end.err);
    REQUIRE(end.code == 0);
    CHECK(says(end.out, parts));
}

std::string output_of(const TempFolder& folder, const std::string& line) {
    INFO("distill " << line);
    const Ended end = run(folder, line);
    CAPTURE(end.err);
    REQUIRE(end.code == 0);
    return end.out;
}

std::vector<std::string> subcommands_in(const std::string& help) {
    std::vector<std::string> names;
    std::istringstream lines(help);
    bool listed = false;
    for (std::string line; std::getline(lines, line); listed = listed ? !line.empty() : line == "Subcommands:")
        if (listed && line.size() > 2 && line[2] != ' ') names.push_back(line.substr(2, line.find(' ', 2) - 2));
    return names;
}

void check_rejected(const TempFolder& folder, const std::string& line, const std::vector<std::string>& parts) {
    INFO("distill " << line);
    const auto before = listing(folder.path());
    const Ended end = run(folder, line);
    CAPTURE(end.err);
    CHECK(end.code == 2);
    CHECK(end.err.compare(0, 9, "distill: ") == 0);
    CHECK(end.err.find('\n') == end.err.size() - 1);
    CHECK(says(end.err, parts));
    CHECK(listing(folder.path()) == before);
}

std::map<std::string, std::string> listing(const fs::path& folder) {
    std::map<std::string, std::string> files;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder))
        files[fs::relative(entry.path(), folder).string()] = entry.is_regular_file() ? read_file(entry.path()) : "";
    return files;
}

std::string without_seconds(const fs::path& csv) {
    const CsvTable table = read_csv(csv);
    const size_t time = table.column("seconds");
    std::string bytes;
    for (const auto& column : table.columns) bytes += column + ",";
    for (const auto& row : table.rows) {
        bytes += "\n";
        for (size_t c = 0; c < row.size(); ++c) bytes += (c == time ? "" : row[c]) + ",";
    }
    return bytes;
}

size_t lines_in(const fs::path& file) {
    const std::string bytes = fs::exists(file) ? read_file(file) : "";
    return static_cast<size_t>(std::count(bytes.begin(), bytes.end(), '\n'));
}

void wait_until(Command& command, const std::function<bool()>& reached) {
    while (command.running() && !reached()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

void check_same_training(const fs::path& a, const fs::path& b) {
    INFO(a << " and " << b);
    const auto check_same = [&](const char* file) { CHECK_MESSAGE((read_file(a / file) == read_file(b / file)), file); };
    check_same("student.safetensors");
    for (const char* file : {"helpers.safetensors", "steps.csv"}) {
        const bool there = fs::exists(a / file);
        CHECK_MESSAGE(there == fs::exists(b / file), file);
        if (there) check_same(file);
    }
    CHECK(fs::exists(a / "steps.csv") == (value_of(read_config(a / "config.csv"), "log-steps") == "on"));
    for (const char* table : {"epochs.csv", "result.csv"}) CHECK(without_seconds(a / table) == without_seconds(b / table));
}

}  // namespace distill::testing
