#include "progress.h"

#include <unistd.h>

#include <cstdio>

namespace distill {
namespace {

double seconds_since(std::chrono::steady_clock::time_point then) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - then).count();
}

}  // namespace

std::string duration(double seconds) {
    const auto s = static_cast<long>(seconds + 0.5);
    char buffer[40];
    std::snprintf(buffer, sizeof buffer, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    return buffer;
}

Progress::Progress(int epochs, int64_t total_steps, int64_t done, bool quiet, const std::string& name, const std::string& phase)
    : epochs_(epochs), total_(total_steps), first_(done), done_(done), prefix_(name.empty() ? "" : name + ": "), phase_(phase),
      quiet_(quiet), terminal_(name.empty() && ::isatty(STDOUT_FILENO) != 0), start_(Clock::now()), shown_(start_) {}

Progress::~Progress() { clear_line(); }

std::string Progress::rate_and_eta() const {
    const double spent = seconds_since(start_);
    const auto made = static_cast<double>(done_ - first_);
    const double left = made > 0 ? spent / made * static_cast<double>(total_ - done_) : 0;
    char buffer[80];
    std::snprintf(buffer, sizeof buffer, "%6.0f img/s  ETA %s", spent > 0 ? static_cast<double>(images_) / spent : 0.0,
                  duration(left).c_str());
    return buffer;
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
    std::printf("\r\033[K%s %d/%d  step %lld/%lld%s  %s", phase_.c_str(), epoch + 1, epochs_, static_cast<long long>(done_),
                static_cast<long long>(total_), figures.c_str(), rate_and_eta().c_str());
    std::fflush(stdout);
    line_open_ = true;
}

void Progress::epoch(int epoch, const std::string& figures) {
    if (quiet_) return;
    clear_line();
    std::printf("%s%s %d/%d%s  %s\n", prefix_.c_str(), phase_.c_str(), epoch + 1, epochs_, figures.c_str(), rate_and_eta().c_str());
    std::fflush(stdout);
}

void Progress::epoch(int which, double loss, double train_accuracy, double test_accuracy, double best_accuracy) {
    char figures[120];
    std::snprintf(figures, sizeof figures, "  loss %.4f  train %.2f %%  test %.2f %%  best %.2f %%", loss, train_accuracy, test_accuracy,
                  best_accuracy);
    epoch(which, figures);
}

}  // namespace distill
