#include "crew.h"

#include <deque>
#include <map>

#include "error.h"

namespace distill {

std::vector<FailedRun> train_all(Crew& crew, const std::vector<std::string>& folders) {
    std::deque<std::string> waiting(folders.begin(), folders.end());
    std::map<int, std::string> busy;
    std::map<std::string, int> losses;
    std::vector<FailedRun> failed;
    const auto start_next = [&](int slot) {
        if (waiting.empty()) return;
        busy[slot] = waiting.front();
        waiting.pop_front();
        crew.train(slot, busy[slot]);
    };
    for (int slot = 0; slot < crew.slots(); ++slot) start_next(slot);
    while (!busy.empty()) {
        const CrewMessage m = crew.wait();
        if (m.kind == CrewMessage::Kind::epoch) {
            crew.answer(m.slot, true);
            continue;
        }
        const std::string folder = busy.at(m.slot);
        busy.erase(m.slot);
        if (m.kind == CrewMessage::Kind::failed) failed.push_back({folder, m.detail});
        if (m.kind == CrewMessage::Kind::lost) {
            if (++losses[folder] < max_losses)
                waiting.push_front(folder);
            else
                failed.push_back({folder, text("its worker died ", max_losses, " times; last: ", m.detail)});
        }
        start_next(m.slot);
    }
    return failed;
}

}  // namespace distill
