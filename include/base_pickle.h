// base_pickle.h: Python's pickles, as data: what they would build is told, and nothing is built or called.
// defines: PickleValue, PickleSource, Pickle
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace distill {

struct PickleValue {
    /// text: `text`; bytes, too. name: a class or function, "torch._utils._rebuild_tensor_v2" in `text`. call: one of these in `text`, the
    /// tuple of its arguments in items[0], attributes that it was given behind. persistent: what the pickle says of something that lies
    /// outside of it, items[0]. dictionary: key, value, key, value, … in `items`, in order. large: an integer of more than 8 bytes,
    /// little-endian in `text`.
    enum class Kind { none, boolean, whole, real, large, text, tuple, list, dictionary, name, call, persistent };
    Kind kind;
    size_t place;       ///< the byte of the source where it begins
    int64_t whole = 0;  ///< and 0 or 1 of a boolean
    double real = 0;
    std::string_view text;                  ///< of the source's bytes
    std::vector<const PickleValue*> items;  ///< may hold the value itself: Python's lists can

    bool is(Kind k) const { return kind == k; }
    /// A dictionary's last value of this key, as Python keeps it; null if there is none.
    const PickleValue* find(std::string_view key) const;
    /// For messages: "a tuple", "the text \"x\"".
    std::string shown() const;
};

/// Bytes that hold pickles, and what messages call them and their places.
struct PickleSource {
    std::string file, inner;  ///< inner: "" or "data.pkl", whose byte 0 is `begin`
    std::string_view bytes;
    size_t begin = 0;
};

/// A pickle (protocol 2 to 5) of dictionaries (also collections.OrderedDict, whose attributes are left), lists, tuples, texts, numbers and
/// calls of `names`, told as such. InputError for everything else, naming the opcode or the class and its byte, and for a pickle that is
/// cut, broken, or larger than 4 MiB (a state dict takes some 150 bytes a tensor).
class Pickle {
  public:
    /// Reads the one that begins at source.bytes[at].
    Pickle(const PickleSource& source, size_t at, const std::vector<std::string_view>& names);
    const PickleValue& value() const { return *value_; }
    const std::deque<PickleValue>& all() const { return values_; }  ///< every value that it made
    size_t end() const { return end_; }                             ///< the byte behind it

  private:
    friend class PickleMachine;
    std::deque<PickleValue> values_;
    const PickleValue* value_ = nullptr;
    size_t end_ = 0;
};

}  // namespace distill
