#include "train_progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <limits>

#include "base_error.h"
#include "base_texts.h"
#include "base_time.h"

namespace distill {
namespace {

/// Of the standard output's window; where nobody knows it, more than any line has.
size_t terminal_columns() {
    winsize window{};
    return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col : std::numeric_limits<size_t>::max();
}

}  // namespace

std::string first_that_fits(const std::vector<std::string>& lines, size_t columns) {
    for (const std::string& line : lines)
        if (line.size() <= columns) return line;
    return lines.back();
}

Progress::Progress(int epochs, int64_t total_steps, int64_t done, bool quiet, const std::string& name, const std::string& phase)
    : epochs_(epochs),
      total_(total_steps),
      first_(done),
      done_(done),
      prefix_(name.empty() ? "" : name + ": "),
      phase_(phase),
      quiet_(quiet),
      terminal_(name.empty() && ::isatty(STDOUT_FILENO) != 0),
      start_(Clock::now()),
      shown_(start_) {}

Progress::~Progress() { clear_line(); }

std::string Progress::rate() const {
    const double spent = seconds_since(start_);
    if (images_ == 0 || spent <= 0) return "";
    char buffer[40];
    std::snprintf(buffer, sizeof buffer, "  %6.0f img/s", static_cast<double>(images_) / spent);
    return buffer;
}

std::string Progress::eta() const {
    const auto made = static_cast<double>(done_ - first_);
    return made > 0 ? "  ETA " + duration(seconds_since(start_) / made * static_cast<double>(total_ - done_)) : "";
}

void Progress::clear_line() {
    if (line_open_) std::fputs("\r\033[K", stdout), std::fflush(stdout);
    line_open_ = false;
}

void Progress::step(int epoch, int64_t images, double loss, double accuracy) {
    char figures[80];
    std::snprintf(figures, sizeof figures, "  loss %.4f  train %.2f %%", loss, accuracy);
    step(epoch, images, figures);
}

void Progress::step(int epoch, int64_t images, const std::string& figures) {
    ++done_;
    images_ += images;
    constexpr double refresh_seconds = 0.25;
    if (quiet_ || !terminal_ || seconds_since(shown_) < refresh_seconds) return;
    shown_ = Clock::now();
    const std::string begin = text(phase_, " ", epoch + 1, "/", epochs_), steps = text("  step ", done_, "/", total_);
    // A line that wraps could not be written over.
    const std::string end = eta(), all = begin + steps + figures;
    const std::vector<std::string> lines{all + rate() + end, all + end, begin + figures + end, begin + end, begin};
    const std::string line = first_that_fits(lines, terminal_columns() - 1);
    std::printf("\r\033[K%s", line.c_str());
    std::fflush(stdout);
    line_open_ = true;
}

void Progress::epoch(int epoch, const std::vector<std::string>& figures) {
    if (quiet_) return;
    clear_line();
    const std::string begin = text(prefix_, phase_, " ", epoch + 1, "/", epochs_), line = begin + figures.front();
    std::vector<std::string> lines = {line + rate() + eta(), line + eta()};
    for (const std::string& fewer : figures) lines.push_back(begin + fewer);
    std::printf("%s\n", (terminal_ ? first_that_fits(lines, terminal_columns()) : lines.front()).c_str());
    std::fflush(stdout);
}

void Progress::epoch(int which, double loss, double train_accuracy, double test_accuracy, double best_accuracy) {
    const std::string of_loss = "  loss " + fixed(loss, 4), of_train = "  train " + fixed(train_accuracy) + " %";
    const std::string of_test = "  test " + fixed(test_accuracy) + " %", of_best = "  best " + fixed(best_accuracy) + " %";
    epoch(which, {of_loss + of_train + of_test + of_best, of_train + of_test + of_best, of_test + of_best, of_test});
}

}  // namespace distill
