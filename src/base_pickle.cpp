#include "base_pickle.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "base_error.h"
#include "base_weights.h"

namespace distill {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t longest = 4 << 20;  // a state dict takes some 150 bytes a tensor, a hostile pickle makes 70 of each of its own
constexpr std::string_view ordered_dict = "collections.OrderedDict";

/// Python's names of opcodes (pickletools) that a state dict does without, for the message.
struct Opcode {
    unsigned char byte;
    const char* name;
};
constexpr Opcode unused_opcodes[] = {{'0', "POP"},        {'1', "POP_MARK"},    {'2', "DUP"},          {'F', "FLOAT"},
                                     {'I', "INT"},        {'L', "LONG"},        {'P', "PERSID"},       {'S', "STRING"},
                                     {'V', "UNICODE"},    {'d', "DICT"},        {'g', "GET"},          {'i', "INST"},
                                     {'l', "LIST"},       {'o', "OBJ"},         {'p', "PUT"},          {0x82, "EXT1"},
                                     {0x83, "EXT2"},      {0x84, "EXT4"},       {0x8b, "LONG4"},       {0x8d, "BINUNICODE8"},
                                     {0x8e, "BINBYTES8"}, {0x8f, "EMPTY_SET"},  {0x90, "ADDITEMS"},    {0x91, "FROZENSET"},
                                     {0x92, "NEWOBJ_EX"}, {0x96, "BYTEARRAY8"}, {0x97, "NEXT_BUFFER"}, {0x98, "READONLY_BUFFER"}};

std::string name_of(unsigned char opcode) {
    constexpr const char* digits = "0123456789abcdef";
    const auto found =
        std::find_if(std::begin(unused_opcodes), std::end(unused_opcodes), [&](const Opcode& o) { return o.byte == opcode; });
    const std::string number = std::string("0x") + digits[opcode >> 4] + digits[opcode & 15];
    return found == std::end(unused_opcodes) ? number : std::string(found->name) + " (" + number + ")";
}

}  // namespace

const PickleValue* PickleValue::find(std::string_view key) const {
    if (!is(Kind::dictionary)) return nullptr;
    for (size_t i = items.size(); i >= 2; i -= 2)
        if (items[i - 2]->is(Kind::text) && items[i - 2]->text == key) return items[i - 1];
    return nullptr;
}

std::string PickleValue::shown() const {
    switch (kind) {
        case Kind::none: return "None";
        case Kind::boolean: return whole ? "True" : "False";
        case Kind::whole: return "the number " + std::to_string(whole);
        case Kind::real: return distill::text("the number ", real);
        case Kind::large: return "a number of " + std::to_string(text.size()) + " bytes";
        case Kind::text: return "the text " + quoted_name(std::string(text));
        case Kind::tuple: return "a tuple";
        case Kind::list: return "a list";
        case Kind::dictionary: return "a dictionary";
        case Kind::name: return std::string(text);
        case Kind::call: return "what " + std::string(text) + " makes";
        case Kind::persistent: return "a storage";
    }
    return "";
}

/// The stack machine that a pickle is a program for.
class PickleMachine {
  public:
    PickleMachine(const PickleSource& source, size_t at, const std::vector<std::string_view>& names, Pickle& pickle)
        : source_(source), names_(names), pickle_(pickle), start_(at), at_(at) {}

    void run() {
        for (;;) {
            here_ = at_;
            if (at_ - start_ > longest) bad("a pickle of more than ", longest, " bytes, expected a state dict's");
            const auto opcode = number<unsigned char>();
            if (opcode == '.') break;  // STOP
            step(opcode);
        }
        if (stack_.size() != 1 || !marks_.empty()) bad("STOP with ", stack_.size(), " values on the stack, expected one");
        pickle_.value_ = stack_.front();
        pickle_.end_ = at_;
    }

  private:
    template <class... Args>
    [[noreturn]] void bad(const Args&... args) const {
        input_error(source_.file, ": ", source_.inner, source_.inner.empty() ? "" : ", ", "byte ", here_ - source_.begin, ": ", args...);
    }

    void step(unsigned char opcode) {
        switch (opcode) {
            case 0x80: return protocol();
            case 0x95: take(8); return;                                          // FRAME: its length
            case 'N': make(Kind::none); return;                                  // NONE
            case 0x88: make(Kind::boolean).whole = 1; return;                    // NEWTRUE
            case 0x89: make(Kind::boolean); return;                              // NEWFALSE
            case 'J': make(Kind::whole).whole = number<int32_t>(); return;       // BININT
            case 'K': make(Kind::whole).whole = number<uint8_t>(); return;       // BININT1
            case 'M': make(Kind::whole).whole = number<uint16_t>(); return;      // BININT2
            case 0x8a: return make_long(take(number<uint8_t>()));                // LONG1
            case 'G': return make_real();                                        // BINFLOAT
            case 'X': make(Kind::text).text = take(number<uint32_t>()); return;  // BINUNICODE
            case 0x8c: make(Kind::text).text = take(number<uint8_t>()); return;  // SHORT_BINUNICODE
            case 'B': make(Kind::text).text = take(number<uint32_t>()); return;  // BINBYTES
            case 'C': make(Kind::text).text = take(number<uint8_t>()); return;   // SHORT_BINBYTES
            case 'T': make(Kind::text).text = take(number<uint32_t>()); return;  // BINSTRING, Python 2's
            case 'U': make(Kind::text).text = take(number<uint8_t>()); return;   // SHORT_BINSTRING
            case ')': make(Kind::tuple); return;                                 // EMPTY_TUPLE
            case ']': make(Kind::list); return;                                  // EMPTY_LIST
            case '}': make(Kind::dictionary); return;                            // EMPTY_DICT
            case '(': marks_.push_back(stack_.size()); return;                   // MARK
            case 't': return make_tuple(since_mark());                           // TUPLE
            case 0x85: return make_tuple(1);                                     // TUPLE1
            case 0x86: return make_tuple(2);                                     // TUPLE2
            case 0x87: return make_tuple(3);                                     // TUPLE3
            case 'a': return append(1, Kind::list, "APPEND");
            case 'e': return append(since_mark(), Kind::list, "APPENDS");
            case 's': return append(2, Kind::dictionary, "SETITEM");
            case 'u': return append(since_mark(), Kind::dictionary, "SETITEMS");
            case 'q': memo_[number<uint8_t>()] = top(); return;                     // BINPUT
            case 'r': memo_[number<uint32_t>()] = top(); return;                    // LONG_BINPUT
            case 0x94: memo_[static_cast<uint32_t>(memo_.size())] = top(); return;  // MEMOIZE
            case 'h': return push_memo(number<uint8_t>());                          // BINGET
            case 'j': return push_memo(number<uint32_t>());                         // LONG_BINGET
            case 'c': return global();
            case 0x93: return stack_global();
            case 'Q': return persistent();
            case 'R': return call("REDUCE");
            case 0x81: return call("NEWOBJ");
            case 'b': return build();
            default: bad("opcode ", name_of(opcode), " is none that a state dict needs", remedy());
        }
    }

    // ---- the bytes

    std::string_view take(size_t count) {
        const size_t left = source_.bytes.size() - at_;
        if (count > left) bad("the pickle ends in the middle: ", count, " bytes should follow, ", left, " do; cut short, or no pickle");
        at_ += count;
        return source_.bytes.substr(at_ - count, count);
    }

    template <class T>
    T number() {
        T value;
        std::memcpy(&value, take(sizeof value).data(), sizeof value);
        return value;
    }

    std::string_view line() {
        const size_t end = source_.bytes.find('\n', at_);
        if (end == std::string_view::npos) bad("a line that does not end; cut short, or no pickle");
        const std::string_view text = take(end - at_);
        take(1);
        return text;
    }

    // ---- the stack

    PickleValue& make(Kind kind) {
        pickle_.values_.push_back({kind, here_, 0, 0, {}, {}});
        stack_.push_back(&pickle_.values_.back());
        return pickle_.values_.back();
    }

    size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
    void require(size_t count) const {
        if (stack_.size() - floor() < count) bad("an opcode that needs ", count, " values finds ", stack_.size() - floor());
    }
    PickleValue* top() const {
        require(1);
        return stack_.back();
    }
    PickleValue* pop() {
        PickleValue* const value = top();
        stack_.pop_back();
        return value;
    }
    /// Removes the last mark; how many values lie above where it was.
    size_t since_mark() {
        if (marks_.empty()) bad("an opcode that needs a MARK finds none");
        const size_t count = stack_.size() - marks_.back();
        marks_.pop_back();
        return count;
    }
    std::vector<const PickleValue*> pop_last(size_t count) {
        require(count);
        std::vector<const PickleValue*> last(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
        stack_.resize(stack_.size() - count);
        return last;
    }

    // ---- what the opcodes do

    void protocol() {
        if (const auto p = number<uint8_t>(); p < 2 || p > 5) bad("a pickle of protocol ", static_cast<int>(p), ", expected 2 to 5");
    }

    void make_long(std::string_view bytes) {
        if (bytes.size() > sizeof(int64_t)) {
            make(Kind::large).text = bytes;
            return;
        }
        const bool negative = !bytes.empty() && static_cast<unsigned char>(bytes.back()) >= 0x80;
        uint64_t value = negative ? ~uint64_t{0} : 0;
        std::memcpy(&value, bytes.data(), bytes.size());
        make(Kind::whole).whole = static_cast<int64_t>(value);
    }

    /// The one number that is stored big end first.
    void make_real() {
        std::string bytes(take(sizeof(double)));
        std::reverse(bytes.begin(), bytes.end());
        std::memcpy(&make(Kind::real).real, bytes.data(), sizeof(double));
    }

    void make_tuple(size_t count) {
        auto items = pop_last(count);
        make(Kind::tuple).items = std::move(items);
    }

    void append(size_t count, Kind kind, const char* opcode) {
        const auto items = pop_last(count);
        PickleValue& onto = *top();
        if (!onto.is(kind)) bad(opcode, " on ", onto.shown(), ", expected a ", kind == Kind::list ? "list" : "dictionary");
        if (kind == Kind::dictionary && items.size() % 2 != 0) bad(opcode, " with a key that has no value");
        onto.items.insert(onto.items.end(), items.begin(), items.end());
    }

    void push_memo(uint32_t index) {
        const auto found = memo_.find(index);
        if (found == memo_.end()) bad("value ", index, " of the memo is used, and was never put there");
        stack_.push_back(found->second);
    }

    void global() {
        const std::string_view module = line(), name = line();
        push_name(std::string(module) + "." + std::string(name));
    }

    void stack_global() {
        const auto parts = pop_last(2);
        if (!parts[0]->is(Kind::text) || !parts[1]->is(Kind::text)) bad("STACK_GLOBAL without two texts");
        push_name(std::string(parts[0]->text) + "." + std::string(parts[1]->text));
    }

    void push_name(const std::string& name) {
        auto known = std::find(names_.begin(), names_.end(), name);
        if (known == names_.end() && name != ordered_dict)
            bad("the class or function ", quoted_name(name), " is none that a state dict needs, and nothing of a file is ever called",
                remedy());
        make(Kind::name).text = known == names_.end() ? ordered_dict : *known;
    }

    void persistent() {
        const PickleValue* const id = pop();
        make(Kind::persistent).items = {id};
    }

    void call(const char* opcode) {
        const auto parts = pop_last(2);
        if (!parts[0]->is(Kind::name) || !parts[1]->is(Kind::tuple))
            bad(opcode, " calls ", parts[0]->shown(), " with ", parts[1]->shown(), ", expected a function and a tuple");
        if (parts[0]->text == ordered_dict) return ordered(*parts[1]);
        PickleValue& made = make(Kind::call);
        made.text = parts[0]->text;
        made.items = {parts[1]};
    }

    /// Empty, or from a list of pairs as Python 2 has it.
    void ordered(const PickleValue& arguments) {
        PickleValue& made = make(Kind::dictionary);
        if (arguments.items.empty()) return;
        if (arguments.items.size() != 1 || !arguments.items[0]->is(Kind::list)) bad("an OrderedDict of ", arguments.items[0]->shown());
        copied_ += arguments.items[0]->items.size();
        if (copied_ > at_ - start_) bad("a list is made into OrderedDicts again and again, expected once");
        for (const PickleValue* pair : arguments.items[0]->items) {
            if ((!pair->is(Kind::list) && !pair->is(Kind::tuple)) || pair->items.size() != 2)
                bad("an OrderedDict with ", pair->shown(), ", expected pairs of key and value");
            made.items.insert(made.items.end(), pair->items.begin(), pair->items.end());
        }
    }

    /// An OrderedDict's attributes (PyTorch's `_metadata`: versions of modules) are of no use here.
    void build() {
        const PickleValue* const attributes = pop();
        PickleValue& onto = *top();
        if (onto.is(Kind::call))
            onto.items.push_back(attributes);
        else if (!onto.is(Kind::dictionary))
            bad("BUILD gives attributes to ", onto.shown(), ", expected an OrderedDict, or what a known class makes");
    }

    static const char* remedy() { return "; save the state dict alone: torch.save(model.state_dict(), 'FILE')"; }

    const PickleSource& source_;
    const std::vector<std::string_view>& names_;
    Pickle& pickle_;
    size_t start_, at_, here_ = 0;
    size_t copied_ = 0;  ///< pairs of lists into OrderedDicts: a list may be named again and again
    std::vector<PickleValue*> stack_;
    std::vector<size_t> marks_;
    std::unordered_map<uint32_t, PickleValue*> memo_;
};

Pickle::Pickle(const PickleSource& source, size_t at, const std::vector<std::string_view>& names) {
    PickleMachine(source, at, names, *this).run();
}

}  // namespace distill
