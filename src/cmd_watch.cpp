#include "cmd_watch.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <thread>

#include "base_command_line.h"
#include "base_error.h"
#include "base_files.h"
#include "base_numbers.h"
#include "base_output_file.h"
#include "report_watch.h"

namespace distill {
namespace {

struct WatchOptions {
    std::vector<fs::path> runs;
    bool once = false;
    std::string every = "2";
    fs::path csv;
};

void print(const std::vector<std::string>& lines) {
    for (const std::string& line : lines) std::printf("%s\n", line.c_str());
    std::fflush(stdout);
}

/// As often as `pause` says, on a terminal's one screen, until nothing is running.
void watch(const WatchOptions& o, std::chrono::duration<double> pause) {
    for (;;) {
        const std::vector<Watched> all = watch_folders(o.runs, std::chrono::system_clock::now());
        winsize window{};
        const bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_row > 0 && window.ws_col > 0;
        std::printf("\033[H\033[J");
        print(watch_lines(all, known ? window.ws_row - 1u : 24u, known ? window.ws_col : 80u));
        const auto goes_on = [](const Watched& w) { return w.state == WatchedState::running || w.state == WatchedState::unclear; };
        if (std::none_of(all.begin(), all.end(), goes_on)) return;
        std::this_thread::sleep_for(pause);
    }
}

void run_watch(const WatchOptions& o) {
    double seconds = 0;
    constexpr double most = 3600;
    if (!parse_all(o.every, seconds) || !(seconds > 0 && seconds <= most))
        input_error("--every: found '", o.every, "', expected seconds above 0 to ", most);
    require_output("--csv", o.csv, watch_begins, "table of watch");
    if (!o.once && o.csv.empty() && ::isatty(STDOUT_FILENO) != 0) return watch(o, std::chrono::duration<double>(seconds));
    const std::vector<Watched> all = watch_folders(o.runs, std::chrono::system_clock::now());
    constexpr size_t any = std::numeric_limits<size_t>::max();
    print(watch_lines(all, any, any));
    if (!o.csv.empty()) write_file_atomically(o.csv, watch_csv(all));
}

}  // namespace

void add_watch_command(Subcommand app) {
    const Subcommand sub =
        app.add_subcommand("watch", "The runs and searches that are going on: epoch, accuracy, speed, time left, stopped or silent");
    auto o = std::make_shared<WatchOptions>();
    sub.add_option("RUNS", o->runs, "run folders, or folders with run folders in them").required();
    sub.add_flag("--once", o->once, "print it once, whole; so it is where the output is no terminal");
    sub.add_option("--every", o->every, "seconds between two looks").shows_default();
    sub.add_option("--csv", o->csv, "write it as CSV to this file, once");
    sub.callback([o] { run_watch(*o); });
}

}  // namespace distill
