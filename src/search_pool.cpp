#include "search_pool.h"

#include <cstdio>
#include <deque>
#include <map>

#include "base_error.h"

namespace distill {

std::string lost_too_often(const std::string& last) { return text("its worker died ", max_losses, " times; last: ", last); }

void slot_failure(const std::string& before, const std::string& now, const std::string& last) {
    failure(before, " and ", now, " both lost their worker ", max_losses, " times, and nothing trained between them (last: ", last,
            "); this looks like the machine's fault: mend it and go on with --resume");
}

std::vector<FailedRun> train_all(WorkerPool& pool, const std::vector<std::string>& folders, bool quiet) {
    std::deque<std::string> waiting(folders.begin(), folders.end());
    std::map<int, std::string> busy;
    std::map<std::string, int> losses;
    std::map<int, double> accuracy;    // by slot, after the last epoch reported
    std::map<int, FailedRun> doubted;  // by slot: nothing has trained there since
    std::vector<FailedRun> failed;
    size_t ended = 0;
    const auto start_next = [&](int slot) {
        if (waiting.empty()) return;
        busy[slot] = waiting.front();
        waiting.pop_front();
        pool.train(slot, busy[slot]);
    };
    for (int slot = 0; slot < pool.slots(); ++slot) start_next(slot);
    while (!busy.empty()) {
        const PoolMessage m = pool.wait();
        if (const auto doubt = doubted.find(m.slot); doubt != doubted.end() && m.kind != PoolMessage::Kind::lost) {
            failed.push_back({doubt->second.folder, doubt->second.reason});
            doubted.erase(doubt);
        }
        if (m.kind == PoolMessage::Kind::epoch) {
            accuracy[m.slot] = m.accuracy;
            pool.answer(m.slot, true);
            continue;
        }
        const std::string folder = busy.at(m.slot);
        busy.erase(m.slot);
        if (m.kind == PoolMessage::Kind::ended && !quiet)
            std::printf("%s: %.2f %% (%zu/%zu)\n", folder.c_str(), accuracy[m.slot], ++ended, folders.size()), std::fflush(stdout);
        if (m.kind == PoolMessage::Kind::failed) failed.push_back({folder, m.detail});
        if (m.kind == PoolMessage::Kind::lost) {
            if (!m.blamed || ++losses[folder] < max_losses)
                waiting.push_front(folder);
            else if (const auto [doubt, first] = doubted.emplace(m.slot, FailedRun{folder, lost_too_often(m.detail), true}); !first)
                slot_failure(doubt->second.folder, folder, m.detail);
        }
        start_next(m.slot);
    }
    for (const auto& [slot, run] : doubted) failed.push_back(run);
    return failed;
}

}  // namespace distill
