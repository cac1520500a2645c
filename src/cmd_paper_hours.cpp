#include "cmd_paper_hours.h"

#include <memory>

#include "base_error.h"
#include "base_numbers.h"
#include "base_texts.h"
#include "bench_training.h"
#include "cmd_method.h"
#include "cmd_preset.h"
#include "ktg_search.h"
#include "method_crd.h"
#include "method_feed.h"
#include "method_hkd.h"
#include "method_kd.h"
#include "method_ktg.h"
#include "train_recipes.h"

namespace distill {
namespace {

struct Data {
    int64_t images;
    int size, classes;
};
Data official(const std::string& dataset) {
    if (dataset == "tiny-imagenet") return {100000, 64, 200};
    return {50000, 32, dataset == "cifar10" ? 10 : 100};
}

double step_ms(BenchTraining& training) {
    training.step();
    training.record();
    return median_ms(training.backend(), 1, 3, [&] { training.replay(); });
}

double hours(double ms, double steps) { return ms * steps / 3.6e6; }

double search_hours(const PaperRow& row, const std::string& device, int seeds) {
    SearchOptions search;
    auto trials = static_cast<double>(authors_trials);
    for (const auto& [name, value] : row.options)
        if (name == "trials") trials = parsed_number(value).value_or(trials);
    const Recipe& recipe = find_recipe(ktg_row.recipe);
    BenchOptions o;
    o.method = ktg_row.name;
    o.training = options_of(recipe);
    o.training.device = device;
    auto own = std::make_shared<KtgOptions>();
    own->file = "dml3";
    own->models = "0=" + search.target;
    const std::vector<std::string> models = split(search.models, ',');
    for (size_t i = 1; i < models.size(); ++i) own->models += text(',', i, '=', models[i]);
    read_bench_graph(*own);
    o.own = own;
    const Data data = official(row.dataset);
    o.size = data.size, o.classes = data.classes;
    BenchTraining training(o);
    const double ms = step_ms(training), batch = static_cast<double>(o.training.batch), images = static_cast<double>(data.images);
    double epochs = trials;
    for (int rung = 1; rung < recipe.epochs;) {
        const int next = std::min(2 * rung, recipe.epochs);
        trials /= 2;
        epochs += trials * (next - rung);
        rung = next;
    }
    const double others = recipe.epochs * (1.8 + 3.0 * seeds);  // the pretrained, the teachers; the winner and what it is set beside
    return hours(ms, (epochs * 0.8 + others) * images / batch);
}

}  // namespace

double expected_hours(const PaperRow& row, const std::string& device, int seeds) {
    if (row.command == "ktg search") return search_hours(row, device, seeds);
    const MethodRow& method = *find_method(row.method_name());
    BenchOptions o;
    o.method = method.name;
    o.training = options_of(find_recipe(method.recipe));
    o.own = choose(method).options;
    FeedSeries series;
    series.stages = 1;
    OptionTable table;
    add_networks(table, o.training, method.teachers);
    o.own->add_to(table);
    if (row.command == "feed sequential") series = {}, series.add_chain_to(table);
    o.training.preset = row.id;
    apply_preset(row, row.command, table, o.training);
    if (series.by == ban_row.name) o.method = ban_row.name, o.own = choose(ban_row).options;
    if (table.has("kd-weight")) table.set("kd-weight", "1", "bench");  // which random weights stay finite with
    o.training.device = device;
    if (o.training.teacher.empty() && method.teachers != Teaching::none) o.training.teacher = split(row.teacher, '+').front();
    o.teachers = std::max(1, o.training.train_teachers);
    if (auto* graph = dynamic_cast<KtgOptions*>(o.own.get())) read_bench_graph(*graph);
    const Data data = official(row.dataset);
    o.size = data.size, o.classes = data.classes;
    if (o.method == crd_row.name || o.method == hkd_row.name) o.records = data.images;  // their memories have a row for each
    BenchTraining training(o);
    const double ms = step_ms(training), epochs = o.training.epochs + training.phases_epochs();
    return hours(ms, epochs * series.stages * static_cast<double>(data.images) / static_cast<double>(o.training.batch));
}

}  // namespace distill
