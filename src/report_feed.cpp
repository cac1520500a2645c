#include "report_feed.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <ostream>
#include <set>
#include <sstream>

#include "base_error.h"
#include "base_svg.h"
#include "base_texts.h"
#include "method_table.h"
#include "report_likeness.h"

namespace distill {
namespace {

using Kind = FeedResult::Kind;

bool is_parallel(const Run& run) { return run.method == "feed" && run.stage.empty(); }

int teachers_of(const Run& run) { return static_cast<int>(split(run.teacher, '+').size()); }

int64_t stage_of(const Run& run) { return run.stage.empty() ? 1 : run.stage_number(); }

/// What must agree for accuracies to be comparable: the images trained and tested on, the student, how long it was trained.
Config setting_of(const Run& run) {
    Config setting{{"dataset", run.dataset}, {"student", run.student}, {"images", value_of(run.config, "info.data_sha256")}};
    for (const char* option : {"epochs", "max-steps", "val"}) setting.emplace_back(option, value_of(run.config, option));
    return setting;
}

std::set<std::string> teacher_networks(const Run& run) {
    const auto networks = split(run.teacher, '+');
    return {networks.begin(), networks.end()};
}

/// The same for all numbers of teachers of a curve, whose networks may differ.
Config recipe_of(const Run& run) {
    Config curve = setting_of(run);
    const std::set<std::string> others = {"teacher", "teachers", "id"};
    for (const auto& option : run.config)
        if (!is_circumstance(option.first) && others.count(option.first) == 0) curve.push_back(option);
    std::sort(curve.begin(), curve.end());
    return curve;
}

/// Are the run's teachers the first ones of the other?
bool has_first_teachers(const Run& run, const Run& other) {
    const std::vector<std::string> theirs = teacher_contents(run), all = teacher_contents(other);
    return theirs.size() <= all.size() && std::equal(theirs.begin(), theirs.end(), all.begin());
}

/// Groups of one recipe as curves, the longest first: each is a group with all that have its first teachers, or teachers of its networks.
/// What is in one begins none.
std::vector<std::vector<const Group*>> curves_of(std::vector<const Group*> groups) {
    std::stable_sort(groups.begin(), groups.end(),
                     [](const Group* a, const Group* b) { return teachers_of(a->any()) > teachers_of(b->any()); });
    std::vector<std::vector<const Group*>> curves;
    std::set<const Group*> taken;
    for (const Group* most : groups) {
        if (taken.count(most) > 0) continue;
        const auto fits = [&](const Group* g) {
            return has_first_teachers(g->any(), most->any()) || teacher_networks(g->any()) == teacher_networks(most->any());
        };
        std::vector<const Group*>& curve = curves.emplace_back();
        std::copy_if(groups.begin(), groups.end(), std::back_inserter(curve), fits);
        taken.insert(curve.begin(), curve.end());
    }
    return curves;
}

FeedResult result(Kind kind, const std::string& name, const Group& group) {
    return {kind, name, kind == Kind::alone ? 0 : teachers_of(group.any()), group.last, &group};
}

/// One group for each number of teachers: of several that whose teachers are the first of the largest group's.
std::vector<FeedResult> parallel_of(const std::vector<const Group*>& curve) {
    const auto fewer = [](const Group* a, const Group* b) { return teachers_of(a->any()) < teachers_of(b->any()); };
    const Run& most = (*std::max_element(curve.begin(), curve.end(), fewer))->any();
    std::map<int, const Group*> by_number;
    for (const Group* group : curve) {
        const Group*& place = by_number[teachers_of(group->any())];
        if (!place || has_first_teachers(group->any(), most)) place = group;
    }
    std::vector<FeedResult> parallel;
    for (const auto& [number, group] : by_number) parallel.push_back(result(Kind::parallel, "parallel FEED", *group));
    return parallel;
}

/// The teachers by themselves, as the runs with all of them measured them.
std::optional<FeedResult> teachers_themselves(const Group& group) {
    std::vector<double> accuracies;
    for (const auto& row : group.any().config)
        if (starts_with(row.first, "info.teacher") && row.first.find("_accuracy") != std::string::npos)
            accuracies.push_back(number_of(row, group.any().folder / "config.csv"));
    if (accuracies.empty()) return std::nullopt;
    return FeedResult{Kind::teachers, "the teachers’ mean", static_cast<int>(accuracies.size()), spread(accuracies), nullptr};
}

/// What was trained beside the curve that ends in `most`. Of a chain its last stage counts, of ensembles the largest.
std::vector<FeedResult> baselines_of(const std::vector<Group>& groups, const Group& most) {
    const Config setting = setting_of(most.any());
    std::vector<FeedResult> found;
    const auto add = [&](Kind kind, const std::string& name, const std::function<bool(const Run&)>& is_kind) {
        std::pair<int64_t, int> furthest;  // stage, teachers
        const auto reach = [](const Run& run) { return std::pair(stage_of(run), teachers_of(run)); };
        const auto fits = [&](const Run& run) { return is_kind(run) && setting_of(run) == setting; };
        for (const Group& group : groups)
            if (fits(group.any())) furthest = std::max(furthest, reach(group.any()));
        const Group* group = nearest_group(groups, most, [&](const Run& run) { return fits(run) && reach(run) == furthest; });
        if (!group) return;
        FeedResult r = result(kind, name, *group);
        if (kind == Kind::ensemble) r.name += text(", mean of ", r.teachers, " teachers");
        if (!group->any().stage.empty()) r.name += ", stage " + group->any().stage;
        found.push_back(std::move(r));
    };
    const auto method = [](const char* name) { return [name](const Run& run) { return run.method == name; }; };
    add(Kind::alone, "student alone", [](const Run& run) { return is_trained_alone(run) && start_file(run).empty(); });
    add(Kind::one_teacher, "KD", method("kd"));
    add(Kind::ensemble, "KD", method("ensemble"));
    add(Kind::one_teacher, "Factor Transfer", method("ft"));
    add(Kind::one_teacher, "born again", method("ban"));
    add(Kind::sequential, "sequential FEED", [](const Run& run) { return run.method == "feed" && !is_parallel(run); });
    if (const auto teachers = teachers_themselves(most)) found.push_back(*teachers);
    return found;
}

FeedClaim claim(const std::string& statement, const FeedResult& ours, const std::optional<FeedResult>& other) {
    FeedClaim c{statement, ours, other, {}, {}};
    if (!other) return c;
    c.unlike = told(recipe_differences(ours.group->any(), other->group->any()));
    if (c.unlike.empty()) c.comparison = compare(*ours.group, *other->group);
    return c;
}

std::vector<FeedClaim> claims_of(const FeedStudy& study) {
    const FeedResult &most = study.parallel.back(), &fewest = study.parallel.front();
    const auto baseline = [&](const std::string& name) -> std::optional<FeedResult> {
        for (const FeedResult& b : study.baselines)
            if (starts_with(b.name, name)) return b;
        return std::nullopt;
    };
    const std::optional<FeedResult> smaller = study.parallel.size() > 1 ? std::optional(fewest) : std::nullopt;
    return {claim("parallel FEED beats the student alone", most, baseline("student alone")),
            claim("parallel FEED beats one-teacher Factor Transfer", most, baseline("Factor Transfer")),
            claim("parallel FEED beats born-again networks", most, baseline("born again")), claim("more teachers help", most, smaller)};
}

const char* const about_claims =
    "FEED’s paper has no number on file; its claims are tested instead, with the most teachers that were run. ";

/// What the claims' accuracies are of: every image more or less is so many points.
std::string about_images(const FeedStudy& study) {
    const std::string images = test_images(study.parallel.back().group->any());
    return images.empty() ? "" : "Tested on " + images + " images, with one set of teachers.";
}

std::string title(const FeedStudy& s) {
    return "FEED: " + s.student + " from " + s.teacher + " on " + s.dataset + (s.epochs.empty() ? "" : ", " + s.epochs + " epochs");
}

/// The parallel ones by number of teachers, then the others by accuracy.
std::vector<FeedResult> ordered(const FeedStudy& study) {
    std::vector<FeedResult> all = study.parallel, others = study.baselines;
    std::stable_sort(others.begin(), others.end(),
                     [](const FeedResult& a, const FeedResult& b) { return a.accuracy.mean > b.accuracy.mean; });
    all.insert(all.end(), others.begin(), others.end());
    return all;
}

using Cells = std::vector<std::string>;

/// Method, teachers, accuracy, n, gain over the student alone.
Cells cells_of(const FeedStudy& study, const FeedResult& r) {
    std::optional<double> gain;
    for (const FeedResult& b : study.baselines)
        if (b.kind == Kind::alone && r.kind != Kind::alone && r.group && recipe_differences(r.group->any(), b.group->any()).empty())
            gain = r.accuracy.mean - b.accuracy.mean;
    return {r.name, r.teachers == 0 ? "–" : std::to_string(r.teachers), mean_and_deviation(r.accuracy), std::to_string(r.accuracy.n),
            format_points(gain)};
}

/// How many teachers (of FEED, the method that the number is told of) and seeds are behind an accuracy.
std::string behind(const std::optional<FeedResult>& r) {
    if (!r) return "";
    return (r->kind == Kind::parallel ? text("N = ", r->teachers, ", ") : "") + text("n = ", r->accuracy.n);
}

/// Claim, verdict, ours, what is behind that, the other, what is behind that, difference, its interval, how or why not.
Cells cells_of(const FeedClaim& c) {
    const auto accuracy = [](const std::optional<FeedResult>& r) { return r ? mean_and_deviation(r->accuracy) : "–"; };
    const std::string how = !c.comparison                     ? (c.unlike.empty() ? "" : "other recipe: " + c.unlike)
                            : c.comparison->undecided.empty() ? (c.comparison->paired ? "paired by seed" : "Welch")
                                                              : c.comparison->undecided;
    return {c.text,
            c.verdict(),
            accuracy(c.ours),
            behind(c.ours),
            accuracy(c.other),
            behind(c.other),
            format_points(c.comparison ? std::optional(c.comparison->difference) : std::nullopt),
            c.comparison ? c.comparison->interval() : "–",
            how};
}

FeedStudy study_of(const std::vector<const Group*>& curve, const Report& report) {
    FeedStudy study;
    study.parallel = parallel_of(curve);
    const Group& most = *study.parallel.back().group;
    const Run& run = most.any();
    const std::set<std::string> networks = teacher_networks(run);
    study.dataset = run.dataset;
    study.student = run.student;
    study.epochs = value_of(run.config, "epochs");
    study.teacher = joined({networks.begin(), networks.end()}, "+");
    study.baselines = baselines_of(report.groups, most);
    study.claims = claims_of(study);
    return study;
}

}  // namespace

std::string FeedClaim::verdict() const { return comparison ? to_string(comparison->verdict) : other ? "not comparable" : "not run"; }

std::vector<FeedStudy> feed_studies(const Report& report) {
    std::map<Config, std::vector<const Group*>> by_recipe;
    for (const Group& group : report.groups)
        if (is_parallel(group.any())) by_recipe[recipe_of(group.any())].push_back(&group);
    std::vector<FeedStudy> studies;
    for (const auto& [recipe, groups] : by_recipe)
        for (const auto& curve : curves_of(groups)) studies.push_back(study_of(curve, report));
    return studies;
}

void write_feed(std::ostream& out, const std::vector<FeedStudy>& studies) {
    for (const FeedStudy& study : studies) {
        std::vector<Cells> rows = {{"method", "teachers", "test accuracy", "n", "gain over alone"}};
        for (const FeedResult& r : ordered(study)) rows.push_back(cells_of(study, r));
        out << '\n' << printable(title(study)) << '\n' << aligned(rows, {1, 3, 4});
        rows = {{"the paper's claim", "here it", "ours", "", "the other", "", "difference", "95 % interval", ""}};
        for (const FeedClaim& c : study.claims) rows.push_back(cells_of(c));
        out << aligned(rows, {6, 7});
        if (const std::string about = about_images(study); !about.empty()) out << about << '\n';
    }
    if (!studies.empty()) out << about_claims << verdict_rule << '\n';
}

std::string feed_section(const FeedStudy& study) {
    std::ostringstream html;
    const auto cell = [&](const std::string& content, const std::string& below = "", bool is_text = false) {
        html << (is_text ? "<td class=\"text\">" : "<td>") << escaped(content)
             << (below.empty() ? "" : "<span class=\"id\">" + escaped(below) + "</span>") << "</td>";
    };
    html << "<section><h2>" << escaped(title(study)) << "</h2>\n<figure class=\"feed\">" << feed_svg(study)
         << "<figcaption>Test accuracy after the last epoch. Curve: parallel FEED, mean ± standard deviation over the seeds, small dots "
            "the single seeds. Lines: what was trained beside it with the same data, student and number of epochs.</figcaption></figure>\n"
            "<div class=\"wide\"><table class=\"found\"><thead><tr><th class=\"text\">Method</th><th>Teachers</th><th>Test accuracy</th>"
            "<th>n</th><th>Gain over the<br>student alone</th></tr></thead><tbody>\n";
    for (const FeedResult& r : ordered(study)) {
        const Cells cells = cells_of(study, r);
        html << "<tr>";
        cell(cells[0], r.group ? r.group->name() : "", true);
        for (size_t i = 1; i < cells.size(); ++i) cell(cells[i]);
        html << "</tr>\n";
    }
    html << "</tbody></table></div>\n<div class=\"wide\"><table class=\"found\"><thead><tr><th class=\"text\">The paper’s claim</th>"
            "<th class=\"text\">Here it</th><th>Ours</th><th>The other</th><th>Difference</th><th>95 % interval</th></tr></thead>"
            "<tbody>\n";
    for (const FeedClaim& c : study.claims) {
        const Cells cells = cells_of(c);
        html << "<tr>";
        cell(cells[0], "", true), cell(cells[1], "", true);
        cell(cells[2], cells[3]), cell(cells[4], cells[5]), cell(cells[6]), cell(cells[7], cells[8]);
        html << "</tr>\n";
    }
    html << "</tbody></table></div>\n<p class=\"soft\">" << escaped(about_images(study)) << ' ' << about_claims << verdict_rule
         << "</p></section>\n";
    return html.str();
}

}  // namespace distill
