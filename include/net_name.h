// net_name.h: a network's name taken apart, and other names for it.
// defines: NetworkName, network_name, without_aliases, NameReader
#pragma once
#include <cstddef>
#include <string>

namespace distill {

struct NetworkName {
    std::string whole;  ///< "wrn-10-4-tiny"
    std::string base;   ///< "wrn-10-4": the same without a "-tiny" at its end
    bool tiny = false;  ///< it had one: the variant for images of 64x64 (Tiny-ImageNet)
};
NetworkName network_name(const std::string& whole);

/// What the command line says of networks, with the name in the place of each alias: "shufflenetv1" is ShuffleV1, "wrn_16_2" wrn-16-2; in
/// lists, too ("0=mobilenetv2,1=resnet20"). All that takes a network from the command line takes it through this, so that nothing else meets
/// an alias.
std::string without_aliases(const std::string& said);

/// Reads a name from its beginning on.
class NameReader {
  public:
    explicit NameReader(std::string name) : name_(std::move(name)) {}
    /// Whether the name goes on with `word`, which is then read.
    bool word(const std::string& word);
    /// Reads a number of one to four digits; 0 if there is none.
    int number();
    bool at_end() const { return at_ == name_.size(); }

  private:
    std::string name_;
    size_t at_ = 0;
};

}  // namespace distill
