#include "method_hkd.h"

#include <cmath>

#include "base_error.h"
#include "base_numbers.h"
#include "core_streams.h"
#include "data_loader.h"
#include "method_teacher.h"
#include "train_options.h"

namespace distill {
namespace {

constexpr int64_t width = 128, most_negatives = int64_t{1} << 24;

/// Xavier's, for a ReLU that does not come.
Init convolution_start(int64_t in, int64_t out) { return Init::normal(2.0f / std::sqrt(static_cast<float>(in + out))); }

}  // namespace

// ---- the graph ----------------------------------------------------------------------------------------------------------------

Tensor prediction_graph(const Output& output, const std::string& from, int k) {
    if (from == "feature") return average_of_nearest(output.pooled.value(), k);
    return average_of_nearest(softmax(output.logits.detached()).value(), k);
}

TagConv::TagConv(Parameters& p, const std::string& name, int64_t in, int hops)
    : hops_(hops),
      linear_(p, name + ".conv1.lin", (hops + 1) * in, in, convolution_start((hops + 1) * in, in), Linear::default_init((hops + 1) * in)) {}

Var TagConv::operator()(const Var& embeddings, const Tensor& graph) const {
    Var reached = embeddings, all = embeddings;
    for (int hop = 0; hop < hops_; ++hop) {
        reached = matmul(Var(graph), reached, false, false, true);
        all = concat_channels(all, reached);
    }
    return l2_normalize(linear_(all));
}

// ---- the method ---------------------------------------------------------------------------------------------------------------

Hkd::Hkd(const Setting& s, const Options& o, const HkdOptions& own)
    : FeatureDistillation(s, o, own.weights, {"loss_hkd"}, Keep::last),
      own_(own),
      embed_s_(parameters_, "embed_s", *student_, width),
      embed_t_(parameters_, "embed_t", s.teacher().network(), width),
      gnn_s_(parameters_, "gnn_s", width, own.hops),
      gnn_t_(parameters_, "gnn_t", width, own.hops),
      memory_(parameters_, s, o, width, own.negatives_drawn(), Fewer::all),
      log_(s.backend),
      nothing_(Tensor::zeros(s.backend, {})) {
    parameters_.allocate(o.start());
}

std::vector<Var> Hkd::losses(const Batch& batch, const Output& s, const Answers& t) {
    Side student{embed_s_(s), {}, memory_.of_student(), BatchGraphLog::individual_s, BatchGraphLog::graph_s};
    Side teacher{embed_t_(t->front()), {}, memory_.of_teacher(), BatchGraphLog::individual_t, BatchGraphLog::graph_t};
    const bool small = !own_.no_graph && batch.size() < own_.neighbours;
    if (small && own_.no_individual) return {Var(nothing_)};
    if (!own_.no_graph && !small) add_holistic(student, teacher, s, t->front(), batch.labels);
    const Tensor drawn = memory_.draw(batch);
    const Var loss = add(contrast(student, teacher, batch, drawn), contrast(teacher, student, batch, drawn));
    // The losses' gradients are made: nothing asks for the rows before them.
    if (!small) memory_.remember(batch, student.e, teacher.e, static_cast<float>(own_.memory_momentum));
    return {loss};
}

void Hkd::add_holistic(Side& student, Side& teacher, const Output& s, const Output& t, const Tensor& labels) const {
    const Tensor graph_s = prediction_graph(s, own_.graph_from, own_.neighbours),
                 graph_t = prediction_graph(t, own_.graph_from, own_.neighbours);
    student.g = gnn_s_(student.e, own_.shared_graph ? graph_t : graph_s);
    teacher.g = gnn_t_(teacher.e, graph_t);
    log_.add_graphs(graph_s, graph_t, labels);
}

/// InfoNCE(e, M'[y], Q) + InfoNCE(g, M̃'[y], Q), where M' is the other's memory, M̃' of it and the other's g, and Q what is drawn of one's own.
Var Hkd::contrast(const Side& side, const Side& other, const Batch& batch, const Tensor& drawn) const {
    const Tensor& negatives = own_.negatives == "own" ? side.memory : other.memory;
    Var anchors, positives;
    std::vector<BatchGraphLog::Loss> parts;
    if (!own_.no_individual) {
        anchors = side.e;
        positives = Var(rows_of(other.memory, batch.records));
        parts.push_back(side.individual);
    }
    if (side.g.defined()) {
        const Var smoothed(smoothed_rows(other.memory, batch.records, other.g.value(), static_cast<float>(own_.smoothing)));
        anchors = parts.empty() ? side.g : concat_samples(anchors, side.g);
        positives = parts.empty() ? smoothed : concat_samples(positives, smoothed);
        parts.push_back(side.graph);
    }
    const Var each = info_nce(anchors, positives.value(), negatives, drawn, static_cast<float>(own_.tau));
    const int64_t n = batch.size();
    for (size_t part = 0; part < parts.size(); ++part)
        log_.add(parts[part], each.value().view(static_cast<int64_t>(part) * n, {n, 1, 1, 1}));
    return scale(mean(each), static_cast<float>(parts.size()));
}

// ---- its options --------------------------------------------------------------------------------------------------------------

void HkdOptions::add_to(OptionTable& t) {
    FeatureOptions::add_to(t);
    constexpr int most_neighbours = 4096, most_hops = 16;
    t.add("--neighbours", neighbours, {1, most_neighbours}, "images that each takes from in its batch's graph, itself the first of them");
    t.add("--hops", hops, {1, most_hops}, "steps along the graph that the convolution sees");
    t.add("--graph-from", graph_from, {"logits", "feature"},
          "images are alike by their predictions, or by the vector before the classifier");
    t.add_switch("--shared-graph", shared_graph, "the student's convolution takes the teacher's graph");
    t.add_switch("--no-graph", no_graph, "the embeddings alone are contrasted");
    t.add_switch("--no-individual", no_individual, "what the graphs make of them alone is contrasted");
    t.add("--negatives-count", negatives_count,
          "images of other classes that each image is contrasted with, or all; each once where there are fewer");
    t.add("--negatives", negatives, {"own", "other"}, "of which network's memory they are; positives are the other's");
    t.add("--tau", tau, {0, Range().high, true}, "temperature of the contrast");
    t.add("--memory-momentum", memory_momentum, {0, 1}, "how much of a row is kept when its image is met again");
    t.add("--smoothing", smoothing, {0, 1}, "of what the graphs' embeddings are contrasted with, how much is the memory's row");
}

int64_t HkdOptions::negatives_drawn() const {
    if (negatives_count == "all") return 0;
    const int64_t count = parsed_whole(negatives_count).value_or(0);
    if (count < 1 || count > most_negatives)
        input_error("--negatives-count: found '", negatives_count, "', expected a whole number from 1 to ", most_negatives, ", or all");
    return count;
}

void HkdOptions::settle(Options& o) {
    negatives_drawn();
    if (no_graph && no_individual) input_error("--no-graph and --no-individual: leave nothing to learn from the teacher; give one of them");
    if (no_graph && shared_graph) input_error("--shared-graph and --no-graph: there is no graph to share; leave one of them out");
    if (!no_graph && o.batch < neighbours)
        input_error(
            "--batch ", o.batch, ": is smaller than --neighbours ", neighbours,
            ", which counts the image itself, so no batch would have a graph; take larger batches, fewer neighbours, or --no-graph");
}

std::unique_ptr<Method> HkdOptions::make(const Setting& s, const Options& o) const { return std::make_unique<Hkd>(s, o, *this); }

const MethodRow hkd_row = {"hkd",        "Distilling Holistic Knowledge with Graph Neural Networks (ICCV 2021)",
                           "2108.05507", Teaching::one,
                           "crd",        default_options<HkdOptions>};

}  // namespace distill
