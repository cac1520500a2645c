#include "search_pool.h"

#include <cstdio>
#include <deque>
#include <map>

#include "base_error.h"

namespace distill {

std::vector<FailedRun> train_all(WorkerPool& pool, const std::vector<std::string>& folders, bool quiet) {
    std::deque<std::string> waiting(folders.begin(), folders.end());
    std::map<int, std::string> busy;
    std::map<std::string, int> losses;
    std::map<int, double> accuracy;  // by slot, after the last epoch reported
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
            else
                failed.push_back({folder, text("its worker died ", max_losses, " times; last: ", m.detail)});
        }
        start_next(m.slot);
    }
    return failed;
}

}  // namespace distill
