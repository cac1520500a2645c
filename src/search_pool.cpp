#include "search_pool.h"

#include <cstdio>
#include <deque>
#include <map>
#include <numeric>

#include "base_error.h"

namespace distill {

std::string lost_too_often(const std::string& last) { return text("its worker died ", max_losses, " times; last: ", last); }

void machine_failure(const std::string& run, const std::string& last) {
    failure(run, " lost its worker ", max_losses, " times, and so did a single step of one network after it (", last,
            "): the machine's fault; mend it and go on with --resume");
}

std::vector<FailedRun> train_all(WorkerPool& pool, const std::vector<std::string>& folders, const Probe& probe, bool quiet) {
    std::deque<size_t> waiting(folders.size());
    std::iota(waiting.begin(), waiting.end(), size_t{0});
    std::map<int, size_t> busy;
    std::map<size_t, int> losses;
    std::map<int, double> accuracy;      // by slot, after the last epoch reported
    std::map<int, std::string> probing;  // by slot: why its run is given up, if the probe that is under way there ends
    std::vector<FailedRun> failed;
    size_t ended = 0;
    const auto start_next = [&](int slot) {
        if (waiting.empty()) return;
        busy[slot] = waiting.front();
        waiting.pop_front();
        pool.train(slot, folders[busy[slot]]);
    };
    for (int slot = 0; slot < pool.slots(); ++slot) start_next(slot);
    while (!busy.empty()) {
        const PoolMessage m = pool.wait();
        const size_t run = busy.at(m.slot);
        const bool probed = probing.count(m.slot) > 0, lost = m.kind == PoolMessage::Kind::lost;
        if (m.kind == PoolMessage::Kind::epoch) {
            accuracy[m.slot] = m.accuracy;
            pool.answer(m.slot, !probed);
            continue;
        }
        if (probed && lost && m.blamed) machine_failure(folders[run], m.detail);
        if (lost && m.blamed && ++losses[run] >= max_losses) probing[m.slot] = lost_too_often(m.detail);
        if (lost && probing.count(m.slot) > 0) {
            pool.train(m.slot, probe(static_cast<int64_t>(run)));
            continue;
        }
        busy.erase(m.slot);
        if (lost) {
            waiting.push_front(run);
        } else if (probed) {
            failed.push_back({folders[run], probing.at(m.slot)});
            probing.erase(m.slot);
        } else if (m.kind == PoolMessage::Kind::failed) {
            failed.push_back({folders[run], m.detail});
        } else if (!quiet) {
            std::printf("%s: %.2f %% (%zu/%zu)\n", folders[run].c_str(), accuracy[m.slot], ++ended, folders.size()), std::fflush(stdout);
        }
        start_next(m.slot);
    }
    return failed;
}

}  // namespace distill
