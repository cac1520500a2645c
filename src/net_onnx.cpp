#include "net_onnx.h"

#include "base_error.h"

#ifdef DISTILL_ONNX
#include <onnx/checker.h>
#include <onnx/onnx_pb.h>
#include <onnx/shape_inference/implementation.h>

#include <limits>
#include <set>
#include <vector>

#include "base_version.h"
#endif

namespace distill {

void require_onnx() {
    if (!has_onnx())
        input_error("weights export: this program was built without ONNX; install ", onnx_packages, " (Debian) and make it again");
}

#ifndef DISTILL_ONNX

bool has_onnx() { return false; }

std::string onnx_model(const Network&, const Parameters&, const Shape&, const std::map<std::string, std::string>&) {
    require_onnx();
    return "";
}

#else

namespace {

constexpr int64_t opset = 17, ir_version = 8;  // which opset 17 came with

using Numbers = std::vector<int64_t>;

/// Writes one operation after the other. Maps lie as (N,C,H,W) there; what has no height and width any more as (N,C).
class Graph {
  public:
    Graph(onnx::GraphProto& graph, const Parameters& parameters) : graph_(graph), parameters_(parameters), values_(parameters.to_file()) {}

    void call(const Var& map, const std::string& name) { names_[&map.node()] = name; }

    /// The operation's nodes; the last one gives its result, called `name`.
    void add(const TracedOperation& o, const std::string& name) {
        using Writer = void (Graph::*)(const TracedOperation&);
        static const std::map<std::string, Writer> writers = {{"conv2d", &Graph::convolution},
                                                              {"batchnorm_running", &Graph::batchnorm},
                                                              {"relu", &Graph::relu},
                                                              {"add", &Graph::addition},
                                                              {"linear", &Graph::linear},
                                                              {"flatten", &Graph::flatten},
                                                              {"max_pool", &Graph::pool},
                                                              {"avg_pool", &Graph::pool},
                                                              {"global_avg_pool", &Graph::global_pool},
                                                              {"subsample", &Graph::subsample},
                                                              {"concat_channels", &Graph::concat},
                                                              {"slice_channels", &Graph::slice},
                                                              {"shuffle_channels", &Graph::shuffle},
                                                              {"interleave_channels", &Graph::interleave},
                                                              {"pad_channels", &Graph::pad}};
        (this->*writers.at(o.name))(o);
        graph_.mutable_node(graph_.node_size() - 1)->set_output(0, name);
        call(o.result, name);
    }

  private:
    static int64_t number(const TracedOperation& o, const char* option) { return static_cast<int64_t>(o.options.at(option)); }
    static bool flat(const Var& map) { return map.shape().h == 1 && map.shape().w == 1; }

    const std::string& map(const TracedOperation& o, size_t i = 0) const {
        const auto found = names_.find(&o.maps[i].node());
        if (found == names_.end())
            failure("onnx_model: ", o.name, " is given a map of ", to_string(o.maps[i].shape()),
                    " by an operation that notes nothing ---> let it end in traced(), and say here what it is in ONNX");
        return found->second;
    }
    /// The result is called by its node's number until somebody calls it otherwise.
    onnx::NodeProto& node(const char* type, const std::vector<std::string>& inputs) {
        onnx::NodeProto& n = *graph_.add_node();
        n.set_op_type(type);
        n.set_name(text(type, '_', graph_.node_size()));
        for (const std::string& input : inputs) n.add_input(input);
        n.add_output(text("value_", graph_.node_size()));
        return n;
    }
    const std::string& last() const { return graph_.node(graph_.node_size() - 1).output(0); }

    static onnx::AttributeProto& attribute(onnx::NodeProto& n, const char* name, onnx::AttributeProto::AttributeType type) {
        onnx::AttributeProto& a = *n.add_attribute();
        a.set_name(name);
        a.set_type(type);
        return a;
    }
    static void set(onnx::NodeProto& n, const char* name, int64_t value) { attribute(n, name, onnx::AttributeProto::INT).set_i(value); }
    static void set(onnx::NodeProto& n, const char* name, const Numbers& values) {
        onnx::AttributeProto& a = attribute(n, name, onnx::AttributeProto::INTS);
        for (const int64_t v : values) a.add_ints(v);
    }

    std::string weight(const Tensor& tensor) {
        const std::string name = parameters_.name_of(tensor);
        if (name.empty()) failure("onnx_model: a weight of ", to_string(tensor.shape()), " is none of the network's");
        if (!written_.insert(name).second) return name;
        const HostTensor& value = values_.at(name);
        onnx::TensorProto& t = *graph_.add_initializer();
        t.set_name(name);
        t.set_data_type(onnx::TensorProto::FLOAT);
        for (const int64_t extent : value.shape) t.add_dims(extent);
        t.set_raw_data(value.data.data(), value.data.size() * sizeof(float));
        return name;
    }
    std::string constant(const Numbers& values) {
        onnx::TensorProto& t = *graph_.add_initializer();
        t.set_name(text("constant_", graph_.initializer_size()));
        t.set_data_type(onnx::TensorProto::INT64);
        t.add_dims(static_cast<int64_t>(values.size()));
        for (const int64_t v : values) t.add_int64_data(v);
        return t.name();
    }
    std::vector<std::string> with_weights(const std::string& map, const TracedOperation& o) {
        std::vector<std::string> inputs{map};
        for (const Tensor& w : o.weights) inputs.push_back(weight(w));
        return inputs;
    }

    // ---- one for each operation

    void convolution(const TracedOperation& o) {
        const Shape& w = o.weights[0].shape();
        onnx::NodeProto& n = node("Conv", with_weights(map(o), o));
        set(n, "kernel_shape", Numbers{w.h, w.w});
        set(n, "strides", Numbers{number(o, "stride_h"), number(o, "stride_w")});
        set(n, "pads", Numbers{number(o, "pad_h"), number(o, "pad_w"), number(o, "pad_h"), number(o, "pad_w")});
        set(n, "group", number(o, "groups"));
    }
    void batchnorm(const TracedOperation& o) {
        onnx::NodeProto& n = node("BatchNormalization", with_weights(map(o), o));
        attribute(n, "epsilon", onnx::AttributeProto::FLOAT).set_f(static_cast<float>(o.options.at("epsilon")));
        if (o.maps.size() == 2) node("Add", {last(), map(o, 1)});
        if (o.options.at("relu") != 0) node("Relu", {last()});
    }
    void relu(const TracedOperation& o) { node("Relu", {map(o)}); }
    void addition(const TracedOperation& o) { node("Add", {map(o), map(o, 1)}); }
    void flatten(const TracedOperation& o) {  // rows, columns, channels, as a map lies in memory here
        if (!flat(o.maps[0])) set(node("Transpose", {map(o)}), "perm", Numbers{0, 2, 3, 1});
        set(node("Flatten", {flat(o.maps[0]) ? map(o) : last()}), "axis", int64_t{1});
    }
    void linear(const TracedOperation& o) {
        set(node("Flatten", {map(o)}), "axis", int64_t{1});
        set(node("Gemm", with_weights(last(), o)), "transB", int64_t{1});
    }
    void pool(const TracedOperation& o) {
        const bool averages = o.name == "avg_pool";
        onnx::NodeProto& n = node(averages ? "AveragePool" : "MaxPool", {map(o)});
        set(n, "kernel_shape", Numbers(2, number(o, "size")));
        set(n, "strides", Numbers(2, number(o, "stride")));
        set(n, "pads", Numbers(4, number(o, "pad")));
        if (averages) set(n, "count_include_pad", int64_t{1});
    }
    void global_pool(const TracedOperation& o) { node("GlobalAveragePool", {map(o)}); }
    void subsample(const TracedOperation& o) {
        constexpr int64_t end = std::numeric_limits<int64_t>::max();
        node("Slice", {map(o), constant({0, 0}), constant({end, end}), constant({2, 3}), constant(Numbers(2, number(o, "stride")))});
    }
    void concat(const TracedOperation& o) { set(node("Concat", {map(o), map(o, 1)}), "axis", int64_t{1}); }
    void slice(const TracedOperation& o) {
        const int64_t first = number(o, "first");
        node("Slice", {map(o), constant({first}), constant({first + number(o, "count")}), constant({1})});
    }
    void shuffle(const TracedOperation& o) { transpose_groups(map(o), o.result.shape(), number(o, "groups")); }
    void interleave(const TracedOperation& o) {
        concat(o);
        transpose_groups(last(), o.result.shape(), 2);
    }
    void transpose_groups(const std::string& map, const Shape& s, int64_t groups) {
        node("Reshape", {map, constant({0, groups, s.c / groups, s.h, s.w})});  // 0: as many as there are
        set(node("Transpose", {last()}), "perm", Numbers{0, 2, 1, 3, 4});
        node("Reshape", {last(), constant({0, s.c, s.h, s.w})});
    }
    void pad(const TracedOperation& o) { node("Pad", {map(o), constant({0, number(o, "before"), 0, 0, 0, number(o, "after"), 0, 0})}); }

    onnx::GraphProto& graph_;
    const Parameters& parameters_;
    std::map<std::string, HostTensor> values_;
    std::map<const Node*, std::string> names_;
    std::set<std::string> written_;  ///< weights
};

/// N: as many images as somebody has.
void declare(onnx::ValueInfoProto& v, const std::string& name, const Numbers& extents) {
    v.set_name(name);
    onnx::TypeProto::Tensor& type = *v.mutable_type()->mutable_tensor_type();
    type.set_elem_type(onnx::TensorProto::FLOAT);
    type.mutable_shape()->add_dim()->set_dim_param("N");
    for (const int64_t extent : extents) type.mutable_shape()->add_dim()->set_dim_value(extent);
}

/// Throws what the project's checker finds.
void check(const onnx::ModelProto& model) {
    onnx::checker::check_model(model);
    onnx::ModelProto inferred = model;
    onnx::shape_inference::InferShapes(inferred, onnx::OpSchemaRegistry::Instance(), onnx::ShapeInferenceOptions{true, 1, true});
}

}  // namespace

bool has_onnx() { return true; }

std::string onnx_model(const Network& network, const Parameters& parameters, const Shape& image,
                       const std::map<std::string, std::string>& metadata) {
    const Var x(Tensor::zeros(parameters.backend(), image));
    Trace trace;
    Tape tape;
    const Recording on(&tape);  // else BatchNorms would be folded into the convolutions before them
    const Output out = network.forward(x, Mode::evaluate);

    onnx::ModelProto model;
    model.set_ir_version(ir_version);
    model.add_opset_import()->set_version(opset);
    model.set_producer_name("distill");
    model.set_producer_version(commit());
    for (const auto& [key, value] : metadata) {
        onnx::StringStringEntryProto& said = *model.add_metadata_props();
        said.set_key(key);
        said.set_value(value);
    }
    onnx::GraphProto& graph = *model.mutable_graph();
    graph.set_name(network.name());
    declare(*graph.add_input(), "input", {image.c, image.h, image.w});
    declare(*graph.add_output(), "logits", {network.classes()});
    Graph writer(graph, parameters);
    writer.call(x, "input");
    for (const TracedOperation& o : trace.operations())
        writer.add(o, &o.result.node() == &out.logits.node() ? "logits" : text(o.name, '_', graph.node_size()));
    if (model.ByteSizeLong() > static_cast<size_t>(std::numeric_limits<int32_t>::max()))
        input_error(network.name(), ": its ", parameters.count(), " weights are more than an ONNX model can hold (2 GiB)");
    check(model);
    return model.SerializeAsString();
}

#endif

}  // namespace distill
