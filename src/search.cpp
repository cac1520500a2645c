#include "search.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base_error.h"
#include "base_texts.h"
#include "base_time.h"

namespace distill {
namespace {

using Clock = std::chrono::steady_clock;

/// The error as the journal has it, so that a search that goes on decides by the same number.
double journalled_error(double accuracy) { return std::strtod(number(100 - accuracy).c_str(), nullptr); }

}  // namespace

std::string SearchTally::words() const {
    return text(complete, " complete, ", stopped, " stopped, ", rejected, " rejected, ", repeated, " repeated, ", failed, " failed");
}

Search::Search(SearchPlan plan, Journal& journal, WorkerPool& pool, bool quiet)
    : plan_(std::move(plan)), journal_(journal), pool_(pool), quiet_(quiet), terminal_(::isatty(STDOUT_FILENO) != 0) {}

void Search::replay(const std::vector<JournalRow>& rows) {
    for (size_t i = 0; i < rows.size(); ++i) {
        const JournalRow& r = rows[i];
        const auto trial = under_way_.find(r.trial);
        const bool follows = r.event != TrialEvent::running && r.event != TrialEvent::stopped && r.event != TrialEvent::complete;
        const bool possible = begins(r.event) ? r.trial == next_ && r.trial < plan_.trials
                                              : trial != under_way_.end() && (follows || r.epoch == trial->second.epochs + 1);
        if (!possible)
            input_error("the journal's row ", i + 2, " (trial ", r.trial, " ", to_string(r.event), ", epoch ", r.epoch,
                        ") cannot follow those before it; was it edited?");
        if (r.event == TrialEvent::running || r.event == TrialEvent::stopped) halving_.report(r.epoch, *r.error);
        apply(r);
    }
    for (const auto& [trial, state] : under_way_) waiting_.push_back(trial);
}

void Search::record(const JournalRow& row) {
    journal_.append(row);
    apply(row);
}

void Search::apply(const JournalRow& r) {
    if (begins(r.event)) next_ = r.trial + 1;
    if (r.event == TrialEvent::started) {
        under_way_[r.trial] = {};
        if (const std::string training = plan_.propose(r.trial).training; !training.empty()) trainings_.emplace(training, r.trial);
    }
    if (r.event == TrialEvent::rejected) ++tally_.rejected;
    if (r.event == TrialEvent::repeated) ++tally_.repeated;
    if (r.event == TrialEvent::running) under_way_[r.trial].epochs = r.epoch;
    if (r.event == TrialEvent::lost) ++under_way_[r.trial].losses;
    if (is_end(r.event) && !is_untrained(r.event)) apply_end(r);
}

void Search::apply_end(const JournalRow& r) {
    under_way_.erase(r.trial);
    if (r.event == TrialEvent::failed)  // perhaps through what its target does not hear: another may come to its end
        if (const auto its = trainings_.find(plan_.propose(r.trial).training); its != trainings_.end() && its->second == r.trial)
            trainings_.erase(its);
    ++(r.event == TrialEvent::stopped ? tally_.stopped : r.event == TrialEvent::failed ? tally_.failed : tally_.complete);
    plan_.tidy(r.trial, r.event == TrialEvent::complete);
    if (r.event == TrialEvent::complete) rank({r.trial, *r.error});
}

void Search::rank(const TrialScore& score) {
    const auto better = [](const TrialScore& a, const TrialScore& b) { return a.error != b.error ? a.error < b.error : a.trial < b.trial; };
    best_.insert(std::upper_bound(best_.begin(), best_.end(), score, better), score);
    if (static_cast<int>(best_.size()) <= plan_.keep) return;
    plan_.tidy(best_.back().trial, false);
    best_.pop_back();
}

bool Search::start_next(int slot) {
    while (waiting_.empty() && next_ < plan_.trials) {
        const int64_t trial = next_;
        const Proposal proposal = plan_.propose(trial);
        const auto same = trainings_.find(proposal.training);
        if (!proposal.rejection.empty()) {
            record({trial, TrialEvent::rejected, 0, {}, proposal.description});
            show(text("trial ", trial, " rejected: ", proposal.rejection));
        } else if (same != trainings_.end()) {
            record({trial, TrialEvent::repeated, 0, {}, proposal.description});
            show(text("trial ", trial, " is the training of trial ", same->second, " again"));
        } else {
            record({trial, TrialEvent::started, 0, {}, proposal.description});
            waiting_.push_back(trial);
        }
    }
    if (waiting_.empty()) return false;
    slot_trial_[slot] = waiting_.front();
    waiting_.pop_front();
    pool_.train(slot, plan_.prepare(slot_trial_[slot]));
    return true;
}

void Search::run() {
    started_ = Clock::now();
    ended_before_ = tally_.ended();
    double waited = 0;
    for (int slot = 0; slot < pool_.slots() && start_next(slot); ++slot) {
    }
    while (!slot_trial_.empty()) {
        const auto before = Clock::now();
        const PoolMessage message = pool_.wait();
        waited += seconds_since(before);
        handle(message);
    }
    seconds_ = seconds_since(started_);
    bookkeeping_ = seconds_ - waited;
}

void Search::handle(const PoolMessage& m) {
    if (probing_.count(m.slot) > 0) return handle_probe(m);
    const int64_t trial = slot_trial_.at(m.slot);
    const int epochs = under_way_.count(trial) ? under_way_[trial].epochs : 0;
    switch (m.kind) {
        case PoolMessage::Kind::epoch: return handle_epoch(trial, m);
        case PoolMessage::Kind::lost: return handle_lost(trial, m);
        case PoolMessage::Kind::failed: return end(m.slot, {trial, TrialEvent::failed, epochs, {}, m.detail});
        case PoolMessage::Kind::ended: break;
    }
    const auto error = last_error_.find(m.slot);
    if (error != last_error_.end()) return end(m.slot, {trial, TrialEvent::complete, plan_.epochs, error->second, ""});
    if (under_way_.count(trial) == 0) return end(m.slot, {trial, TrialEvent::stopped, 0, {}, ""});
    end(m.slot, {trial, TrialEvent::failed, epochs, {}, text("ended after epoch ", epochs, " of ", plan_.epochs)});
}

void Search::handle_epoch(int64_t trial, const PoolMessage& m) {
    const int epochs = under_way_.at(trial).epochs;
    const double error = journalled_error(m.accuracy);
    bool goes_on = true;
    if (m.epoch == plan_.epochs) {  // complete once its files are written
        last_error_[m.slot] = error;
    } else if (m.epoch > epochs) {  // else it was reported before, and went on
        goes_on = plan_.stops ? halving_.report(m.epoch, error) : !std::isnan(error);
        record({trial, goes_on ? TrialEvent::running : TrialEvent::stopped, m.epoch, error, ""});
        if (!goes_on) show(text("trial ", trial, " stopped after epoch ", m.epoch, ", error ", number(error), " %"));
    }
    pool_.answer(m.slot, goes_on);
}

void Search::handle_lost(int64_t trial, const PoolMessage& m) {
    const auto state = under_way_.find(trial);
    if (state == under_way_.end()) return end(m.slot, {trial, TrialEvent::stopped, 0, {}, ""});
    const int epochs = state->second.epochs;
    last_error_.erase(m.slot);
    if (m.blamed) record({trial, TrialEvent::lost, epochs, {}, m.detail});
    if (m.blamed && state->second.losses >= max_losses) {
        probing_.insert({m.slot, {trial, TrialEvent::failed, epochs, {}, lost_too_often(m.detail)}});
        return pool_.train(m.slot, plan_.probe(trial));
    }
    show(text("trial ", trial, " starts again: ", m.detail));
    waiting_.push_front(trial);
    slot_trial_.erase(m.slot);
    start_next(m.slot);
}

void Search::handle_probe(const PoolMessage& m) {
    const JournalRow failed = probing_.at(m.slot);
    if (m.kind == PoolMessage::Kind::epoch) return pool_.answer(m.slot, false);
    if (m.kind == PoolMessage::Kind::lost) {
        if (m.blamed) machine_failure(text("trial ", failed.trial), m.detail);
        return pool_.train(m.slot, plan_.probe(failed.trial));
    }
    probing_.erase(m.slot);
    end(m.slot, failed);
}

/// The slot is free. A stopped trial has been recorded when it was told so.
void Search::end(int slot, const JournalRow& row) {
    if (row.event != TrialEvent::stopped) {
        record(row);
        show(row.event == TrialEvent::failed ? text("trial ", row.trial, " failed: ", row.detail)
                                             : text("trial ", row.trial, " complete, error ", number(*row.error), " %"));
    }
    last_error_.erase(slot);
    slot_trial_.erase(slot);
    start_next(slot);
}

void Search::show(const std::string& what) {
    if (quiet_) return;
    const int64_t here = tally_.ended() - ended_before_, left = plan_.trials - tally_.ended();
    std::string state = text(tally_.ended(), "/", plan_.trials, " done (", tally_.words(), "), ", under_way_.size(), " running");
    if (!best_.empty()) state += text(", best error ", number(best_[0].error), " % (trial ", best_[0].trial, ")");
    if (here > 0) state += ", ETA " + duration(seconds_since(started_) / static_cast<double>(here) * static_cast<double>(left));
    // On a terminal the state stands in one line at the bottom, what happened above it.
    if (terminal_)
        std::printf("\r\033[K%s\n%s%s", what.c_str(), state.c_str(), left == 0 ? "\n" : "");
    else
        std::printf("%s; %s\n", what.c_str(), state.c_str());
    std::fflush(stdout);
}

}  // namespace distill
