#include "search_early.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "base_error.h"
#include "base_texts.h"
#include "core_philox.h"
#include "search_halving.h"

namespace distill {
namespace {

constexpr size_t fewest_trials = 6;

/// Places from 1 on, the lowest error first; equal errors share the middle of theirs.
std::vector<double> places_of(const std::vector<double>& errors) {
    std::vector<double> places;
    for (const double error : errors) {
        const auto lower = std::count_if(errors.begin(), errors.end(), [&](double other) { return other < error; });
        const auto equal = std::count(errors.begin(), errors.end(), error);
        places.push_back(static_cast<double>(lower) + static_cast<double>(equal + 1) / 2);
    }
    return places;
}

/// Complete trials by their last error, the lowest first; not those of which the journal lacks an epoch's error.
std::vector<const TrialRecord*> whole_trials(const SearchHistory& history, int epochs) {
    std::vector<const TrialRecord*> whole;
    for (const TrialRecord* t : ranked(history))
        if (t->state == TrialEvent::complete && t->epochs == epochs && t->errors.size() == static_cast<size_t>(epochs) &&
            t->errors.begin()->first == 1)
            whole.push_back(t);
    return whole;
}

std::vector<double> errors_at(const std::vector<TargetTraining>& trainings, int epoch) {
    std::vector<double> errors;
    for (const TargetTraining& t : trainings) errors.push_back(t.first->errors.at(epoch));
    return errors;
}

/// At each rung, the places that each training gains from there to the last epoch.
std::vector<std::vector<double>> places_gained(const std::vector<TargetTraining>& trainings, const std::vector<int>& rungs, int last) {
    const std::vector<double> ends = places_of(errors_at(trainings, last));
    std::vector<std::vector<double>> gained;
    for (const int rung : rungs) {
        gained.push_back(places_of(errors_at(trainings, rung)));
        for (size_t i = 0; i < ends.size(); ++i) gained.back()[i] -= ends[i];
    }
    return gained;
}

/// A blind order, the same each time (Fisher and Yates).
std::vector<size_t> shuffled(size_t n, int which) {
    const uint64_t key = random_key(0, Purpose::shuffle, static_cast<uint64_t>(which));
    std::vector<size_t> order(n);
    std::iota(order.begin(), order.end(), size_t(0));
    for (size_t i = n; i > 1; --i) std::swap(order[i - 1], order[philox(key, i).v[0] % i]);
    return order;
}

/// Lets Halving decide on whole trials, `ranked` by their last error, in `orders` orders.
void replay(const std::vector<const TrialRecord*>& ranked, int last, EarlyStopping& early) {
    std::vector<double> lost(early.rungs.size());
    double epochs = 0, left = 0;
    for (int which = 0; which < EarlyStopping::orders; ++which) {
        Halving halving;
        size_t best_left = ranked.size();
        for (const size_t i : shuffled(ranked.size(), which)) {
            size_t rung = 0;
            while (rung < early.rungs.size() && halving.report(early.rungs[rung], ranked[i]->errors.at(early.rungs[rung]))) ++rung;
            const bool whole = rung == early.rungs.size();
            epochs += whole ? last : early.rungs[rung];
            if (whole) best_left = std::min(best_left, i);
            if (!whole && static_cast<int64_t>(i) < early.best) ++lost[rung];
        }
        left += *ranked.at(best_left)->error;  // the first trial of an order always goes on
    }
    for (const double n : lost) early.lost.push_back(n / (EarlyStopping::orders * static_cast<double>(early.best)));
    early.epochs = epochs / (EarlyStopping::orders * static_cast<double>(ranked.size()) * last);
    early.best_left = left / EarlyStopping::orders;
}

}  // namespace

std::optional<EarlyStopping> early_stopping(const SearchHistory& history) {
    if (value_of(history.study, "stopping") != "off") return {};
    const int last = std::atoi(value_of(history.study, "epochs").c_str());
    const std::vector<const TrialRecord*> whole = whole_trials(history, last);
    if (last < 2 || whole.size() < fewest_trials) return {};
    EarlyStopping early;
    early.trials = static_cast<int64_t>(whole.size());
    early.best = (early.trials + 9) / 10;
    early.best_error = *whole.front()->error;
    for (const int epoch : Halving::rungs(last)) early.rungs.push_back(epoch);
    replay(whole, last, early);

    const std::vector<TargetTraining> trainings = target_trainings(whole);
    const std::vector<std::vector<double>> gains = places_gained(trainings, early.rungs, last);
    for (const Preference& p : preferences_of(history).of)
        for (const Choice& choice : p.choices) {
            EarlyChoice c{p.where(), choice.name, {}};
            for (const std::vector<double>& gained : gains) {
                std::vector<double> with, without;
                for (size_t i = 0; i < trainings.size(); ++i) {
                    const std::string made = p.made_by(trainings[i]);
                    if (!made.empty()) (made == choice.name ? with : without).push_back(gained[i]);
                }
                if (with.size() >= Comparison::fewest && without.size() >= Comparison::fewest)
                    c.gained.push_back(compare_independent(spread(with), spread(without)));
            }
            if (!c.gained.empty()) early.choices.push_back(std::move(c));
        }
    return early;
}

std::string early_text(const EarlyStopping& early) {
    const auto percent = [](double part) { return fixed(100 * part, 0) + " %"; };
    std::vector<std::string> at, lost;
    for (size_t i = 0; i < early.rungs.size(); ++i) {
        at.push_back(std::to_string(early.rungs[i]));
        lost.push_back(percent(early.lost[i]));
    }
    std::string all =
        text("stopped at ", joined(at), " epochs (these trials in ", EarlyStopping::orders, " orders) the search would train ",
             percent(early.epochs), " of its epochs and lose ", percent(std::accumulate(early.lost.begin(), early.lost.end(), 0.0)),
             " of the best tenth, ", early.best, " of ", early.trials, " (", joined(lost), ");\nthe best trial that is left has ",
             fixed(early.best_left), " % error in the mean, the best of all ", fixed(early.best_error), " %\n");
    if (early.choices.empty()) return all;
    std::vector<std::vector<std::string>> rows = {{"", "choice", "trainings"}};
    std::set<size_t> right = {2};
    for (size_t i = 0; i < at.size(); ++i) rows[0].push_back("from " + at[i]), right.insert(3 + i);
    for (const EarlyChoice& c : early.choices) {
        rows.push_back({c.where, c.name, std::to_string(c.gained.front().a.n)});
        for (const Comparison& gained : c.gained)
            rows.back().push_back(signed_fixed(gained.difference) + (gained.verdict == Verdict::not_decided ? "  " : " *"));
    }
    return all +
           "places gained from there to the end, beside the trainings without the choice (* the 95 % interval leaves out 0; not corrected "
           "for " +
           std::to_string(early.choices.size() * early.rungs.size()) + " looks):\n" + aligned(rows, right);
}

}  // namespace distill
