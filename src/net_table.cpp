#include "net_table.h"

#include <algorithm>

#include "base_error.h"
#include "base_texts.h"

namespace distill {

// Each is defined at the end of its network's file.
extern const NetworkRow resnet_row, resnet_x4_row, resnet_a_row, resnet_mhgd_row;  // net_resnet.cpp
extern const NetworkRow wrn_row, wrn_mhgd_row;                                     // net_wrn.cpp
extern const NetworkRow wrn_ffsd_row;                                              // net_wrn_ffsd.cpp
extern const NetworkRow vgg_row;                                                   // net_vgg.cpp
extern const NetworkRow mobilenetv2_row;                                           // net_mobilenetv2.cpp
extern const NetworkRow shufflev1_row, shufflev2_row;                              // net_shufflenet.cpp
extern const NetworkRow resnet4_row;                                               // net_resnet4.cpp
extern const NetworkRow vgg_mhgd_row, staged_mhgd_row;                             // net_mhgd.cpp

const std::vector<const NetworkRow*>& network_rows() {
    static const std::vector<const NetworkRow*> rows{&resnet_row,      &resnet_x4_row, &resnet_a_row,    &wrn_row,     &wrn_mhgd_row,
                                                     &resnet_mhgd_row, &vgg_mhgd_row,  &staged_mhgd_row, &vgg_row,     &mobilenetv2_row,
                                                     &shufflev1_row,   &shufflev2_row, &resnet4_row,     &wrn_ffsd_row};
    return rows;
}

namespace {

struct Found {
    const NetworkRow& row;
    NetworkMaker make;
};

Found found(const std::string& whole) {
    const NetworkName name = network_name(whole);
    const auto& rows = network_rows();
    for (auto row = rows.rbegin(); row != rows.rend(); ++row) {
        if (name.tiny && !(*row)->tiny) continue;
        if (NetworkMaker make = (*row)->parse(name)) return {**row, std::move(make)};
    }
    input_error("unknown network '", whole, "'; there are: ", network_names());
}

}  // namespace

const NetworkRow& network_row(const std::string& name) { return found(name).row; }

std::unique_ptr<Network> make_network(const std::string& name, int classes, Parameters& parameters, const std::string& prefix) {
    const Found network = found(name);
    const std::string before = parameters.belongs_to(name);
    auto made = network.make({name, classes, parameters, prefix, network.row.classifier});
    parameters.belongs_to(before);
    return made;
}

std::string network_names() {
    std::vector<std::string> names, tiny;
    for (const NetworkRow* row : network_rows()) {
        names.push_back(row->examples);
        if (*row->rule) names.back() += std::string(" (") + row->rule + ")";
        if (row->tiny && std::count(tiny.begin(), tiny.end(), row->tiny) == 0) tiny.push_back(row->tiny);
    }
    return joined(names) + "; for images of 64x64 NAME-tiny (of " + joined(tiny, " and ") + ")";
}

}  // namespace distill
