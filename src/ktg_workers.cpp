#include "ktg_workers.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>
#include <utility>

#include "base_error.h"
#include "base_texts.h"
#include "ktg_worker.h"
#include "train_interruption.h"

namespace distill {

namespace {

constexpr int max_early_ends = 3;

}  // namespace

WorkerProcesses::WorkerProcesses(WorkerPlan plan) : plan_(std::move(plan)), workers_(plan_.processes.size()) {
    for (size_t w = 0; w < workers_.size(); ++w) {
        workers_[w].first_slot = slots();
        for (int own = 0; own < plan_.processes[w].slots; ++own) seats_.push_back({w, own});
        start(w);
    }
}

WorkerProcesses::~WorkerProcesses() { end_all(); }

void WorkerProcesses::start(size_t w) {
    const WorkerPlan::Process& process = plan_.processes[w];
    const std::vector<std::string> argv{plan_.program, "ktg", "worker", "--slots", std::to_string(process.slots)};
    workers_[w].process = std::make_unique<Subprocess>(argv, process.environment);
    workers_[w].ready = false;
    workers_[w].last_words.clear();
}

void WorkerProcesses::train(int slot, const std::string& folder) {
    const Seat seat = seats_.at(static_cast<size_t>(slot));
    Worker& worker = workers_[seat.worker];
    worker.waiting.emplace_back(seat.own, folder);
    advance(worker);
}

/// Sends what may begin: a suspect alone, the others side by side.
void WorkerProcesses::advance(Worker& worker) {
    const auto suspect = [&](const auto& run) { return suspects_.count(run.second) > 0; };
    while (!worker.waiting.empty()) {
        const auto& next = worker.waiting.front();
        const bool alone = suspect(next) || std::any_of(worker.busy.begin(), worker.busy.end(), suspect);
        if (alone && !worker.busy.empty()) return;
        worker.busy.insert(next);
        worker.process->send(text(next.first, " train ", next.second));
        worker.waiting.pop_front();
    }
}

void WorkerProcesses::answer(int slot, bool goes_on) {
    const Seat seat = seats_.at(static_cast<size_t>(slot));
    workers_[seat.worker].process->send(text(seat.own, goes_on ? " go" : " stop"));
}

PoolMessage WorkerProcesses::wait() {
    while (messages_.empty()) {
        if (interruption()) {
            end_all();
            throw Interrupted("interrupted");
        }
        listen();
    }
    PoolMessage first = messages_.front();
    messages_.pop_front();
    return first;
}

/// Takes what the workers have sent. Returns after a while even if there is nothing, so that a signal is seen.
void WorkerProcesses::listen() {
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

void WorkerProcesses::hear(size_t w, const std::string& line) {
    Worker& worker = workers_[w];
    if (line == "ready") {
        worker.ready = true;
        worker.early_ends = 0;
        return;
    }
    if (const std::string broken = "broken "; starts_with(line, broken)) {
        worker.last_words = line.substr(broken.size());
        return;
    }
    std::istringstream in(line);
    PoolMessage m;
    int own = 0;
    std::string kind;
    in >> own >> kind;
    m.slot = worker.first_slot + own;
    if (kind == "epoch") {
        m.kind = PoolMessage::Kind::epoch;
        in >> m.epoch >> m.accuracy;
    } else {
        std::getline(in >> std::ws, m.detail);
        if (kind == "input") throw InputError(m.detail);
        if (kind == "disk") throw WriteError(m.detail);  // no trial's fault
        if (kind != "failed" && kind != "ended") failure("worker ", w, " said: ", line);
        m.kind = kind == "failed" ? PoolMessage::Kind::failed : PoolMessage::Kind::ended;
        suspects_.erase(worker.busy.at(own));
        worker.busy.erase(own);
        advance(worker);
    }
    messages_.push_back(m);
}

/// A worker has ended: its runs are lost, another takes its place.
void WorkerProcesses::bury(size_t w) {
    Worker& worker = workers_[w];
    const Subprocess::End end = worker.process->wait();
    const std::string reason = text("worker ", w, " ended by ", end.how, worker.last_words.empty() ? "" : ": ", worker.last_words);
    if (!worker.ready && ++worker.early_ends == max_early_ends) failure(reason, " before it could begin, ", max_early_ends, " times");
    const bool at_fault = worker.ready && end.code != interrupted_exit, one = worker.busy.size() == 1;
    for (const auto& [own, folder] : worker.busy) {
        PoolMessage m;
        m.kind = PoolMessage::Kind::lost;
        m.slot = worker.first_slot + own;
        m.detail = reason;
        m.blamed = at_fault && one;
        if (at_fault && !one) suspects_.insert(folder);
        messages_.push_back(m);
    }
    worker.busy.clear();
    start(w);
    advance(worker);
}

void WorkerProcesses::end_all() {
    for (const Worker& worker : workers_)
        if (worker.process) worker.process->send("end");
    for (Worker& worker : workers_)
        if (worker.process) worker.process->wait(), worker.process.reset();
}

}  // namespace distill
