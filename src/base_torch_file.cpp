#include "base_torch_file.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <set>

#include "base_error.h"
#include "base_pickle.h"
#include "base_texts.h"
#include "base_zip.h"

namespace distill {
namespace {

using Kind = PickleValue::Kind;

constexpr std::string_view zip_start{"PK\3\4", 4};
constexpr std::string_view magic{"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10};  // torch.serialization.MAGIC_NUMBER
constexpr const char* remedy = "; download or save the file again";

constexpr std::string_view torch = "torch.";
constexpr std::string_view rebuild = "torch._utils._rebuild_tensor", rebuild_v2 = "torch._utils._rebuild_tensor_v2",
                           rebuild_parameter = "torch._utils._rebuild_parameter";

/// What trainers keep beside the weights, which nobody looks at: rates and accuracies that numpy has computed, the options. The CRD benchmark's
/// teachers have all of these.
const std::vector<std::string_view> beside_weights{"numpy.core.multiarray.scalar",
                                                   "numpy.core.multiarray._reconstruct",
                                                   "numpy._core.multiarray.scalar",
                                                   "numpy._core.multiarray._reconstruct",
                                                   "numpy.ndarray",
                                                   "numpy.dtype",
                                                   "_codecs.encode",
                                                   "argparse.Namespace"};

/// All that a pickle with tensors in it may name.
const std::vector<std::string_view>& known_names() {
    static const std::vector<std::string> storages = [] {
        std::vector<std::string> all;
        for (const StoredType& type : stored_types) all.push_back(std::string(torch) + type.storage);
        for (const OtherType& other : other_types)
            if (other.storage) all.push_back(std::string(torch) + other.storage);
        return all;
    }();
    static const std::vector<std::string_view> names = [] {
        std::vector<std::string_view> all{rebuild, rebuild_v2, rebuild_parameter};
        all.insert(all.end(), storages.begin(), storages.end());
        all.insert(all.end(), beside_weights.begin(), beside_weights.end());
        return all;
    }();
    return names;
}

bool is_tensor(const PickleValue& value) {
    return value.is(Kind::call) && (value.text == rebuild || value.text == rebuild_v2 || value.text == rebuild_parameter);
}

/// What a persistent id says: ("storage", class, key, device, elements[, view]).
struct Storage {
    std::string_view type, key;
    size_t elements;

    /// Null: numbers that are no weights'.
    const StoredType* stored() const {
        const auto found = std::find_if(stored_types.begin(), stored_types.end(), [&](const StoredType& t) { return t.storage == type; });
        return found == stored_types.end() ? nullptr : &*found;
    }
    size_t element_bytes() const {
        if (const StoredType* t = stored()) return t->bytes;
        return std::find_if(std::begin(other_types), std::end(other_types),
                            [&](const OtherType& o) { return o.storage && o.storage == type; })
            ->bytes;
    }
};

/// A tensor as its pickle describes it: `offset` and `strides` in elements of the storage.
struct View {
    Storage storage;
    std::vector<int64_t> shape, strides;
    size_t offset, elements;
};

/// A file under examination.
class TorchFile {
  public:
    TorchFile(const std::string& name, const MappedFile& file) : name_(name), file_(file), bytes_(file.bytes()) {}

    WeightFile read() {
        bytes_.substr(0, zip_start.size()) == zip_start ? open_zip() : open_row();
        WeightFile weights;
        for (const auto& [name, tensor] : state_dict()) {
            const View view = view_of(name, *tensor);
            if (!is_bookkeeping(name)) keep(name, view, weights);
        }
        return weights;
    }

  private:
    template <class... Args>
    [[noreturn]] void bad(const Args&... args) const {
        input_error(name_, ": ", args...);
    }

    /// Where a value stands: "data.pkl, byte 36".
    std::string place(const PickleValue& value) const {
        return text(source_.inner, source_.inner.empty() ? "" : ", ", "byte ", value.place - source_.begin);
    }

    // ---- containers: each finds pickle_, and the bytes of each storage by its key

    /// NAME/data.pkl, and NAME/data/KEY for each storage. The entries' folder is what the file was called when it was saved.
    void open_zip() {
        const std::vector<ZipEntry> entries = stored_entries(name_, bytes_);
        const auto named = [&](std::string_view end) {
            return std::find_if(entries.begin(), entries.end(), [&](const ZipEntry& e) {
                return e.name.size() > end.size() && e.name.substr(e.name.size() - end.size()) == end &&
                       e.name.find('/') == e.name.size() - end.size();
            });
        };
        const auto pickle = named("/data.pkl"), order = named("/byteorder");
        if (pickle == entries.end()) bad("a zip archive without NAME/data.pkl, expected one that torch.save wrote");
        if (order != entries.end() && order->data != "little")
            bad("its numbers are stored ", quoted_name(std::string(order->data.substr(0, 20))), " end first, expected \"little\"");
        check_crc(name_, *pickle);
        const std::string folder(pickle->name.substr(0, pickle->name.find('/')));
        const std::string storages = folder + "/data/";
        for (const ZipEntry& e : entries)
            if (e.name.substr(0, storages.size()) == storages) storages_[e.name.substr(storages.size())] = e;
        source_ = {name_, folder + "/data.pkl", bytes_.substr(0, begin_of(pickle->data) + pickle->data.size()), begin_of(pickle->data)};
        pickle_.emplace(source_, source_.begin, known_names());
    }

    size_t begin_of(std::string_view part) const { return static_cast<size_t>(part.data() - bytes_.data()); }

    /// Before PyTorch 1.6: pickles of a magic number, a version, the system, the value, the storages' keys; then each storage, its number of
    /// elements before it.
    void open_row() {
        source_ = {name_, "", bytes_, 0};
        const std::vector<std::string_view> none;
        const Pickle first(source_, 0, none);
        if (!first.value().is(Kind::large) || first.value().text != magic)
            bad("a pickle of ", first.value().shown(), ", expected a file that torch.save wrote, which begins with its magic number");
        const Pickle version(source_, first.end(), none), system(source_, version.end(), none);
        if (const PickleValue* little = system.value().find("little_endian"); little && little->is(Kind::boolean) && little->whole == 0)
            bad("its numbers are stored big end first, expected little end first");
        pickle_.emplace(source_, system.end(), known_names());
        const Pickle keys(source_, pickle_->end(), none);
        if (!keys.value().is(Kind::list)) bad(place(keys.value()), ": found ", keys.value().shown(), ", expected the list of storages");
        place_storages(keys);
    }

    void place_storages(const Pickle& keys) {
        std::map<std::string_view, Storage> described;
        for (const PickleValue& value : pickle_->all())
            if (value.is(Kind::persistent)) {
                const Storage s = storage_of(value);
                described[s.key] = s;
            }
        size_t at = keys.end();
        for (const PickleValue* key : keys.value().items) {
            const auto found = key->is(Kind::text) ? described.find(key->text) : described.end();
            if (found == described.end()) bad(place(*key), ": ", key->shown(), " is no storage of the state dict");
            uint64_t elements = 0;
            if (bytes_.size() - at < sizeof elements) bad("ends at byte ", bytes_.size(), ", before storage ", key->shown(), remedy);
            std::memcpy(&elements, bytes_.data() + at, sizeof elements);
            at += sizeof elements;
            const size_t each = found->second.element_bytes();
            if (elements > (bytes_.size() - at) / each)
                bad("byte ", at, ": storage ", quoted_name(std::string(key->text)), " of ", elements,
                    " numbers should be here, the file ends at ", bytes_.size(), ": cut short", remedy);
            storages_[key->text] = {key->text, bytes_.substr(at, elements * each), 0};
            at += elements * each;
        }
    }

    // ---- the value

    using Named = std::pair<std::string, const PickleValue*>;

    /// The tensors by name, each a call or a wrapped one.
    std::vector<Named> state_dict() const {
        const PickleValue& dict = where_weights_are();
        std::vector<Named> tensors;
        std::set<std::string_view> names;
        for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
            const PickleValue &key = *dict.items[i], &value = *dict.items[i + 1];
            if (!key.is(Kind::text)) bad(place(key), ": a state dict with ", key.shown(), " for a name, expected texts");
            if (!is_tensor(value))
                bad(place(value), ": the state dict's ", quoted_name(std::string(key.text)), " is ", value.shown(), ", expected a tensor");
            if (!names.insert(key.text).second)
                bad(place(key), ": the state dict names ", quoted_name(std::string(key.text)), " twice, expected each tensor once");
            tensors.emplace_back(key.text, &value);
        }
        return tensors;
    }

    const PickleValue& where_weights_are() const {
        const PickleValue& whole = pickle_->value();
        if (!whole.is(Kind::dictionary)) bad(place(whole), ": the file holds ", whole.shown(), ", expected a state dict");
        const std::vector<const char*> usual{"model", "state_dict", "model_state_dict", "net", "weight"};
        std::vector<std::pair<std::string, const PickleValue*>> found;
        for (const char* key : usual)
            if (const PickleValue* v = whole.find(key); v && v->is(Kind::dictionary)) found.emplace_back(key, v);
        const auto without_tensors = [](const auto& entry) {
            const auto& items = entry.second->items;
            return std::none_of(items.begin(), items.end(), [](const PickleValue* v) { return is_tensor(*v); });
        };
        if (!std::all_of(found.begin(), found.end(), without_tensors))  // a "weight" may be classes', a "net" its options
            found.erase(std::remove_if(found.begin(), found.end(), without_tensors), found.end());
        if (found.size() > 1)
            bad("holds state dicts under ", found[0].first, ", ", found[1].first,
                ", expected one of them; save the one that is meant alone");
        if (found.size() == 1) return *found[0].second;
        std::vector<std::string> keys;
        constexpr size_t enough = 8;
        for (size_t i = 0; i + 1 < whole.items.size(); i += 2) {
            if (is_tensor(*whole.items[i + 1])) return whole;
            const PickleValue& key = *whole.items[i];
            if (keys.size() < enough) keys.push_back(key.is(Kind::text) ? quoted_name(std::string(key.text)) : key.shown());
        }
        bad("holds no state dict: expected tensors by name, or such a dictionary under model, state_dict, model_state_dict, net or weight; "
            "found ",
            keys.empty() ? "an empty dictionary" : "a dictionary of " + joined(keys));
    }

    Storage storage_of(const PickleValue& value) const {
        const auto wrong = [&](const char* what) { bad(place(value), ": a storage whose description ", what); };
        const PickleValue& id = *value.items.at(0);
        if (!id.is(Kind::tuple) || id.items.size() < 5 || !id.items[0]->is(Kind::text) || id.items[0]->text != "storage")
            wrong("is not (\"storage\", class, key, device, elements)");
        const PickleValue &type = *id.items[1], &key = *id.items[2], &elements = *id.items[4];
        if (!type.is(Kind::name) || !key.is(Kind::text)) wrong("has no class or no key");
        if (key.text.size() > longest_key)  // each use of a storage looks its key up
            bad(place(key), ": a storage whose key has ", key.text.size(), " bytes, expected at most ", longest_key, remedy);
        if (std::string_view storage("Storage");
            type.text.size() < storage.size() + torch.size() || type.text.substr(type.text.size() - storage.size()) != storage)
            wrong("names no class of storages");
        if (!elements.is(Kind::whole) || elements.whole < 0) wrong("has no number of elements");
        if (id.items.size() > 5 && !id.items[5]->is(Kind::none))
            wrong("is of a part of another storage, as before PyTorch 0.4; save the file again by a newer one");
        return {type.text.substr(torch.size()), key.text, static_cast<size_t>(elements.whole)};
    }

    std::vector<int64_t> sizes(const std::string& name, const PickleValue& value, const char* what) const {
        if (!value.is(Kind::tuple)) bad(place(value), ": tensor ", quoted_name(name), ": its ", what, " are ", value.shown());
        std::vector<int64_t> all;
        for (const PickleValue* item : value.items) {
            if (!item->is(Kind::whole) || item->whole < 0)
                bad(place(*item), ": tensor ", quoted_name(name), ": its ", what, " have ", item->shown(), ", expected none below 0");
            all.push_back(item->whole);
        }
        return all;
    }

    /// _rebuild_tensor(storage, offset, size, stride), _rebuild_tensor_v2 with more behind them, _rebuild_parameter(tensor, …).
    View view_of(const std::string& name, const PickleValue& value) const {
        const PickleValue* call = &value;
        if (call->text == rebuild_parameter && call->items.size() == 1 && !call->items[0]->items.empty()) call = call->items[0]->items[0];
        const bool known = is_tensor(*call) && call->text != rebuild_parameter && call->items.size() == 1;
        const std::vector<const PickleValue*>& arguments = known ? call->items[0]->items : call->items;
        if (!known || arguments.size() < 4 || !arguments[0]->is(Kind::persistent) || !arguments[1]->is(Kind::whole) ||
            arguments[1]->whole < 0)
            bad(place(*call), ": tensor ", quoted_name(name), " is ", call->shown(), ", expected a storage, an offset, sizes and strides");
        View view{storage_of(*arguments[0]), sizes(name, *arguments[2], "sizes"), sizes(name, *arguments[3], "strides"),
                  static_cast<size_t>(arguments[1]->whole), 1};
        if (view.shape.size() != view.strides.size())
            bad(place(*call), ": tensor ", quoted_name(name), " has ", view.shape.size(), " sizes and ", view.strides.size(), " strides");
        if (view.shape.size() > most_dimensions)
            bad(place(*call), ": tensor ", quoted_name(name), " has ", view.shape.size(), " dimensions, expected at most ",
                most_dimensions);
        measure(name, view, *call);
        return view;
    }

    /// Counts the elements, and refuses what does not fit the storage.
    void measure(const std::string& name, View& view, const PickleValue& call) const {
        const auto wrong = [&](const auto&... what) { bad(place(call), ": tensor ", quoted_name(name), ": ", what...); };
        std::vector<size_t> order;  // dimensions that move, by their strides
        for (size_t d = 0; d < view.shape.size(); ++d) {
            if (view.shape[d] == 0) {
                view.elements = 0;
                return;
            }
            if (view.shape[d] > 1) order.push_back(d);
        }
        std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return view.strides[a] < view.strides[b]; });
        size_t extent = 1;  // elements of the storage from the tensor's first to its last
        for (const size_t d : order) {
            const auto stride = static_cast<size_t>(view.strides[d]), steps = static_cast<size_t>(view.shape[d]) - 1;
            if (stride < extent)
                wrong("its strides ", list_of(view.strides), " overlap for sizes ", list_of(view.shape), ", expected each element once");
            size_t reach = 0;
            if (__builtin_mul_overflow(stride, steps, &reach) || __builtin_add_overflow(extent, reach, &extent)) extent = SIZE_MAX;
            if (extent > bytes_.size()) break;  // the product below stays small
            view.elements *= steps + 1;
        }
        size_t needed = 0;
        if (__builtin_add_overflow(view.offset, extent, &needed) || needed > view.storage.elements)
            wrong("needs ", extent, " elements from element ", view.offset, " on, its storage ", quoted_name(std::string(view.storage.key)),
                  " has ", view.storage.elements);
    }

    static std::string list_of(const std::vector<int64_t>& numbers) {
        std::vector<std::string> words;
        for (const int64_t n : numbers) words.push_back(std::to_string(n));
        return "(" + joined(words) + ")";
    }

    // ---- the numbers

    std::string_view storage_bytes(const std::string& name, const Storage& storage) {
        const auto found = storages_.find(storage.key);
        const auto key = [&] { return quoted_name(std::string(storage.key)); };
        if (found == storages_.end()) bad("tensor ", quoted_name(name), ": its storage ", key(), " is not in the file", remedy);
        size_t expected = 0;
        if (__builtin_mul_overflow(storage.elements, storage.element_bytes(), &expected) || found->second.data.size() != expected)
            bad("tensor ", quoted_name(name), ": its storage ", key(), " has ", found->second.data.size(), " bytes, expected ",
                storage.elements, " numbers of ", storage.element_bytes(), remedy);
        check_crc(name_, found->second);
        found->second.crc = 0;  // once
        return found->second.data;
    }

    void keep(const std::string& name, const View& view, WeightFile& weights) {
        const StoredType* const type = view.storage.stored();
        if (!type)
            bad("tensor ", quoted_name(name), " is of torch.", view.storage.type,
                ", expected half, bfloat16, float, double or long numbers");
        taken_ += view.elements * type->bytes;
        if (taken_ / 2 > bytes_.size())
            bad("tensor ", quoted_name(name), ": the tensors up to here share storages so that they take ", taken_,
                " bytes, more than twice the file's ", bytes_.size());
        const std::string_view bytes = view.elements ? storage_bytes(name, view.storage) : std::string_view();
        HostTensor& tensor = tensor_place(weights, name, view.shape, view.elements, name_, "");
        gather(view, *type, bytes, tensor.data.data());
        refuse_values(tensor, name, *type, name_, "", [&](size_t i) { return bytes.data() + stored_index(view, i) * type->bytes; });
        file_.release(bytes);
    }

    /// Where element i of the row-major tensor lies in its storage.
    static size_t stored_index(const View& view, size_t i) {
        size_t index = view.offset;
        for (size_t d = view.shape.size(); d-- > 0;) {
            const auto size = static_cast<size_t>(view.shape[d]);
            index += i % size * static_cast<size_t>(view.strides[d]);
            i /= size;
        }
        return index;
    }

    /// Converts run by run: `dense` elements of the row-major tensor lie one after the other in the storage, too.
    static void gather(const View& view, const StoredType& type, std::string_view bytes, float* to) {
        size_t dense = 1, outer = view.shape.size();  // the dimensions before `outer` are counted through
        while (outer > 0 && (view.shape[outer - 1] == 1 || static_cast<size_t>(view.strides[outer - 1]) == dense))
            dense *= static_cast<size_t>(view.shape[--outer]);
        std::vector<int64_t> count(outer);
        int64_t from = static_cast<int64_t>(view.offset);
        for (size_t i = 0; i < view.elements; i += dense) {
            type.convert(bytes.data() + static_cast<size_t>(from) * type.bytes, dense, to + i);
            for (size_t d = outer; d-- > 0;) {
                if (view.shape[d] == 1) continue;  // whatever its stride is
                from += view.strides[d];
                if (++count[d] < view.shape[d]) break;
                from -= view.shape[d] * view.strides[d];
                count[d] = 0;
            }
        }
    }

    static constexpr size_t most_dimensions = 64;  // PyTorch's own limit
    static constexpr size_t longest_key = 256;     // PyTorch's are numbers of at most 20 digits

    const std::string& name_;
    const MappedFile& file_;
    std::string_view bytes_;
    PickleSource source_;
    std::optional<Pickle> pickle_;
    std::map<std::string_view, ZipEntry> storages_;
    size_t taken_ = 0;
};

}  // namespace

bool is_torch_file(std::string_view bytes) {
    return bytes.substr(0, zip_start.size()) == zip_start || (bytes.size() > 1 && bytes[0] == '\x80' && bytes[1] >= 2 && bytes[1] <= 5);
}

WeightFile read_torch_file(const std::string& name, const MappedFile& file) { return TorchFile(name, file).read(); }

}  // namespace distill
