// net_table.h: the networks, by name. NAME-tiny is the variant for images of 64x64 (Tiny-ImageNet), where a row has one.
// defines: network_rows, network_row, make_network, network_names
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "net.h"

namespace distill {

/// In the order of messages and help. A name belongs to the last row that knows it: an exception stands below its rule.
const std::vector<const NetworkRow*>& network_rows();

/// InputError listing the valid names for one that no row knows.
const NetworkRow& network_row(const std::string& name);

/// Builds a network's modules in `parameters`, their names after `prefix`. InputError as network_row.
std::unique_ptr<Network> make_network(const std::string& name, int classes, Parameters& parameters, const std::string& prefix = "");

/// For messages and help: the rows' examples and rules.
std::string network_names();

}  // namespace distill
