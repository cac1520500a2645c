#include "train_interruption.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <ctime>

#include "base_numbers.h"

namespace distill {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::seconds;

const Clock::time_point process_began = Clock::now();
std::atomic<int> interrupted{0};       // read by every training's thread
std::atomic<int64_t> signalled_at{0};  // ns of CLOCK_MONOTONIC; 0: not yet
static_assert(std::atomic<int64_t>::is_always_lock_free, "a signal handler may touch nothing else");
std::atomic<bool> late{false};
std::atomic<Clock::rep> stop_at{0};        // since the process began; 0: never
std::atomic<Clock::rep> longest_pause{0};  // between two looks of one thread

/// A second signal lets the default action end the process. Neither SIGHUP counts, which a shell repeats by itself and a session that ends
/// sends before SIGTERM, nor what comes at once: timeout(1) signals its child and then the child's group.
void on_signal(int signal) {
    interrupted = 1;
    if (signal == SIGHUP) return;
    constexpr int64_t one_request = 500'000'000;
    struct timespec t;
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    const int64_t now = int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
    int64_t first = 0;
    if (signalled_at.compare_exchange_strong(first, now) || now - first < one_request) return;
    std::signal(signal, SIG_DFL);
    std::raise(signal);
}

/// Keeps in mind how long this thread did not look.
void note_pause(Clock::time_point now) {
    thread_local Clock::time_point looked = now;
    const Clock::rep pause = (now - looked).count();
    looked = now;
    for (Clock::rep known = longest_pause; pause > known && !longest_pause.compare_exchange_weak(known, pause);) {
    }
}

}  // namespace

void catch_interruption(seconds limit) {
    interrupted = 0;
    signalled_at = 0;
    late = false;
    longest_pause = 0;
    constexpr seconds least_reserve(5);
    const Clock::duration reserve = std::max<Clock::duration>(least_reserve, Clock::duration(limit) / 50);
    stop_at = limit.count() > 0 ? std::max<Clock::rep>(1, (limit - reserve).count()) : 0;
    std::signal(SIGINT, on_signal);
    std::signal(SIGTERM, on_signal);
    if (std::signal(SIGHUP, on_signal) == SIG_IGN) std::signal(SIGHUP, SIG_IGN);  // nohup's wish
}

bool interruption() {
    if (stop_at > 0 && !interrupted) {
        const Clock::time_point now = Clock::now();
        note_pause(now);
        if ((now - process_began).count() + longest_pause >= stop_at) late = true, interrupted = 1;
    }
    return interrupted != 0;
}

bool time_is_up() { return late; }

std::optional<seconds> parsed_duration(const std::string& text) {
    constexpr int64_t year = 366 * 24 * 3600;
    int64_t total = 0, previous = year + 1;
    size_t at = 0;
    while (at < text.size()) {
        const size_t end = text.find_first_not_of("0123456789", at);
        if (end == std::string::npos || end == at) return std::nullopt;
        const int64_t unit = text[end] == 'h' ? 3600 : text[end] == 'm' ? 60 : text[end] == 's' ? 1 : 0;
        const auto count = parsed_whole(text.substr(at, end - at));
        if (unit == 0 || unit >= previous || !count || *count > year / unit) return std::nullopt;
        total += *count * unit;
        previous = unit;
        at = end + 1;
    }
    if (total == 0 || total > year) return std::nullopt;
    return seconds(total);
}

std::string duration_text(seconds duration) {
    std::string all;
    int64_t left = duration.count();
    for (const auto& [unit, letter] : {std::pair(3600, 'h'), std::pair(60, 'm'), std::pair(1, 's')}) {
        if (left >= unit) all += std::to_string(left / unit) + letter;
        left %= unit;
    }
    return all;
}

}  // namespace distill
