// net_name.h: a network's name taken apart.
// defines: NetworkName, network_name, NameReader
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
