#include "workers.h"

#include <poll.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sstream>
#include <utility>

#include "error.h"
#include "run_folder.h"

namespace distill {

WorkerCrew::WorkerCrew(WorkerPlan plan) : plan_(std::move(plan)), workers_(plan_.environments.size()) {
    for (size_t w = 0; w < workers_.size(); ++w) start(w);
}

WorkerCrew::~WorkerCrew() { end_all(); }

void WorkerCrew::start(size_t w) {
    const std::vector<std::string> argv{plan_.program, "ktg", "worker", "--slots", std::to_string(plan_.slots_each)};
    workers_[w] = {std::make_unique<Subprocess>(argv, plan_.environments[w]), false, {}};
}

void WorkerCrew::train(int slot, const std::string& folder) {
    Worker& worker = workers_[static_cast<size_t>(slot / plan_.slots_each)];
    const int own = slot % plan_.slots_each;
    worker.busy[own] = true;
    worker.process->send(text(own, " train ", folder));
}

void WorkerCrew::answer(int slot, bool goes_on) {
    const Worker& worker = workers_[static_cast<size_t>(slot / plan_.slots_each)];
    worker.process->send(text(slot % plan_.slots_each, goes_on ? " go" : " stop"));
}

CrewMessage WorkerCrew::wait() {
    while (messages_.empty()) {
        if (interruption()) {
            end_all();
            throw Interrupted("interrupted");
        }
        listen();
    }
    CrewMessage first = messages_.front();
    messages_.pop_front();
    return first;
}

/// Takes what the workers have sent. Returns after a while even if there is nothing, so that a signal is seen.
void WorkerCrew::listen() {
    std::vector<pollfd> sockets;
    for (const Worker& worker : workers_) sockets.push_back({worker.process->socket(), POLLIN, 0});
    constexpr int milliseconds = 200;
    if (::poll(sockets.data(), sockets.size(), milliseconds) < 0 && errno != EINTR) failure("poll: ", std::strerror(errno));
    for (size_t w = 0; w < workers_.size(); ++w) {
        if (sockets[w].revents == 0) continue;
        std::vector<std::string> lines;
        const bool alive = workers_[w].process->receive(lines);
        for (const std::string& line : lines) hear(w, line);
        if (!alive) bury(w);
    }
}

void WorkerCrew::hear(size_t w, const std::string& line) {
    if (line == "ready") {
        workers_[w].ready = true;
        return;
    }
    std::istringstream in(line);
    CrewMessage m;
    int own = 0;
    std::string kind;
    in >> own >> kind;
    m.slot = static_cast<int>(w) * plan_.slots_each + own;
    if (kind == "epoch") {
        m.kind = CrewMessage::Kind::epoch;
        in >> m.epoch >> m.accuracy;
    } else {
        std::getline(in >> std::ws, m.detail);
        workers_[w].busy.erase(own);
        if (kind == "input") throw InputError(m.detail);
        m.kind = kind == "failed" ? CrewMessage::Kind::failed : CrewMessage::Kind::ended;
        if (kind != "failed" && kind != "ended") failure("worker ", w, " said: ", line);
    }
    messages_.push_back(m);
}

/// A worker has ended: its runs are lost, another takes its place.
void WorkerCrew::bury(size_t w) {
    const std::string reason = text("worker ", w, " ended by ", workers_[w].process->wait());
    if (!workers_[w].ready) failure(reason, " before it could begin");
    for (const auto& [own, busy] : workers_[w].busy) {
        CrewMessage m;
        m.kind = CrewMessage::Kind::lost;
        m.slot = static_cast<int>(w) * plan_.slots_each + own;
        m.detail = reason;
        messages_.push_back(m);
    }
    start(w);
}

void WorkerCrew::end_all() {
    for (const Worker& worker : workers_)
        if (worker.process) worker.process->send("end");
    for (Worker& worker : workers_)
        if (worker.process) worker.process->wait(), worker.process.reset();
}

}  // namespace distill
