#include "ktg_worker.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <iostream>
#include <mutex>
#include <thread>
#include <vector>

#include "base_error.h"
#include "base_texts.h"
#include "base_training_failed.h"
#include "ktg_graph_run.h"
#include "train_interruption.h"

namespace distill {
namespace {

/// The way to the parent: a line at a time, from any thread.
class Reports {
  public:
    /// Takes the standard output; whatever else prints goes to the standard error.
    Reports() : socket_(::dup(STDOUT_FILENO)) { ::dup2(STDERR_FILENO, STDOUT_FILENO); }
    void say(std::string line) {
        std::replace(line.begin(), line.end(), '\n', ' ');
        line += '\n';
        const std::lock_guard<std::mutex> guard(mutex_);
        if (::write(socket_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) ::_exit(1);  // the parent is gone
    }

  private:
    int socket_;
    std::mutex mutex_;
};

/// Trains one run at a time.
class Slot {
  public:
    Slot(int number, Reports& reports, std::atomic<int>& busy, SharedSessions& sessions)
        : number_(number), reports_(reports), busy_(busy), runner_(sessions) {}
    void hear(const std::string& words) {
        const std::lock_guard<std::mutex> guard(mutex_);
        heard_.push_back(words);
        arrived_.notify_all();
    }
    void end() {
        const std::lock_guard<std::mutex> guard(mutex_);
        ending_ = true;
        arrived_.notify_all();
    }

    void work() {
        for (std::string words; next(words);) {
            if (!starts_with(words, "train ")) continue;  // an answer to the worker whose place this one took
            ++busy_;
            train(words.substr(6));
            if (--busy_ == 0 && interruption()) ::_exit(interrupted_exit);
        }
    }

  private:
    /// False when the worker is ending.
    bool next(std::string& words) {
        std::unique_lock<std::mutex> guard(mutex_);
        arrived_.wait(guard, [&] { return ending_ || !heard_.empty(); });
        if (ending_) return false;
        words = heard_.front();
        heard_.pop_front();
        return true;
    }

    void say(const std::string& what) { reports_.say(text(number_, " ", what)); }

    void train(const std::string& folder) {
        try {
            runner_.train(folder, [&](int epochs, double accuracy) {
                say(text("epoch ", epochs, " ", number(accuracy)));
                std::string answer;
                if (!next(answer)) throw Interrupted("ended between two epochs");
                return answer == "go";
            });
            say("ended");
        } catch (const Interrupted&) {  // has its checkpoint
        } catch (const InputError& e) {
            say(text("input ", e.what()));
        } catch (const WriteError& e) {  // would meet the next trial, too
            say(text("disk ", e.what()));
        } catch (const TrainingFailed& e) {
            say(text("failed ", e.what()));
        } catch (const std::exception& e) {
            reports_.say(text("broken ", folder, ": ", e.what()));
            ::_exit(1);
        }
    }

    int number_;
    Reports& reports_;
    std::atomic<int>& busy_;  ///< of all slots
    GraphRunner runner_;
    std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<std::string> heard_;
    bool ending_ = false;
};

}  // namespace

void run_worker(int count) {
    catch_interruption();
    Reports reports;
    std::atomic<int> busy = 0;
    SharedSessions sessions;
    std::deque<Slot> slots;
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i) slots.emplace_back(i, reports, busy, sessions);
    for (Slot& slot : slots) threads.emplace_back([&slot] { slot.work(); });
    reports.say("ready");
    for (std::string line; std::getline(std::cin, line) && line != "end";) {
        const size_t blank = line.find(' ');
        slots.at(static_cast<size_t>(std::stoi(line))).hear(line.substr(blank + 1));
    }
    if (!std::cin) ::_exit(1);  // the parent died; what is under way has its checkpoints
    // What is under way writes its checkpoint after the present step. A second signal would not wait for that.
    if (!interruption()) ::raise(SIGTERM);
    for (Slot& slot : slots) slot.end();
    for (std::thread& thread : threads) thread.join();
}

}  // namespace distill
