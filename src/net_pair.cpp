#include "net_pair.h"

#include <algorithm>

#include "base_error.h"
#include "core_backend.h"
#include "device.h"
#include "net_table.h"

namespace distill {
namespace {

std::string size_of(const Shape& s) { return text(s.h, 'x', s.w); }

/// The size, halved (a last odd row is left out) while it is larger than the next map's in both directions, is then that map's.
bool halves_to(Shape s, const Shape& next) {
    while (s.h > next.h && s.w > next.w) s = {s.n, s.h / 2, s.w / 2, s.c};
    return s.h == next.h && s.w == next.w;
}

class Pair {
  public:
    Pair(const std::string& method, const Network& teacher, const Network& student, const Shape& image)
        : method_(method), teacher_(teacher), student_(student), image_(image) {}

    void require(Need need) const {
        if (need != Need::pooled_vector) require_as_many_stages();
        switch (need) {
            case Need::as_many_stages: return;
            case Need::two_stages:
                if (teacher_.stages().size() < 2) refuse("they have one stage", "networks of two stages or more");
                return;
            case Need::pooled_vector:
                for (const Network* network : {&teacher_, &student_})
                    if (network->pooled_channels() == 0)
                        refuse(network->name() + " has no pooled vector before its classifier", "a network that pools its last map");
                return;
            case Need::same_channels: return require_same_channels();
            case Need::same_stems:
                if (teacher_.stem_channels() != student_.stem_channels())
                    refuse(text("before stage 1 they have ", teacher_.stem_channels(), " and ", student_.stem_channels(), " channels"),
                           "networks of the same widths");
                return;
            case Need::same_sizes: return require_same_sizes();
            case Need::sizes_by_halving:
                for (const Network* network : {&teacher_, &student_}) require_halving(*network);
        }
    }

  private:
    [[noreturn]] void refuse(const std::string& found, const std::string& name_instead) const {
        input_error(method_, ": teacher ", teacher_.name(), " and student ", student_.name(), " do not pair: ", found, "; name ",
                    name_instead);
    }
    void require_as_many_stages() const {
        if (teacher_.stages().size() != student_.stages().size())
            refuse(text("they have ", teacher_.stages().size(), " and ", student_.stages().size(), " stages"),
                   "networks of as many stages, like two VGGs or two of three stages");
    }
    Shape map(const Network& network, size_t stage) const {
        if (image_.size() <= 1) failure("require_pair: ", method_, " asks for the maps' sizes of no image ---> give the image's shape");
        return network.stage_shape(stage, image_);
    }
    void require_same_channels() const {
        for (size_t i = 0; i < teacher_.stages().size(); ++i) {
            const int64_t t = teacher_.stages()[i].channels, s = student_.stages()[i].channels;
            if (t != s) refuse(text("at stage ", i + 1, " they have ", t, " and ", s, " channels"), "networks of the same widths");
        }
    }
    void require_same_sizes() const {
        for (size_t i = 0; i < teacher_.stages().size(); ++i) {
            const Shape t = map(teacher_, i), s = map(student_, i);
            if (t.h != s.h || t.w != s.w)
                refuse(text("at stage ", i + 1, " their maps are ", size_of(t), " and ", size_of(s)),
                       "networks of one kind, both as -tiny or neither");
        }
    }
    void require_halving(const Network& network) const {
        for (size_t i = 0; i + 1 < network.stages().size(); ++i) {
            const Shape here = map(network, i), next = map(network, i + 1);
            if (!halves_to(here, next))
                refuse(text("the maps of ", network.name(), " at stages ", i + 1, " and ", i + 2, " are ", size_of(here), " and ",
                            size_of(next), ", which halving does not make equal"),
                       "others, or use images of 32x32 or 64x64");
        }
    }

    const std::string& method_;
    const Network &teacher_, &student_;
    const Shape& image_;
};

}  // namespace

void require_pair(const std::string& method, const Network& teacher, const Network& student, const std::vector<Need>& needs,
                  const Shape& image) {
    if (image.size() > 1)
        for (const Network* network : {&teacher, &student}) network->require_images(image.h, image.w);
    const Pair pair(method, teacher, student, image);
    for (const Need need : needs) pair.require(need);
}

void require_pair(const std::string& method, const std::string& teacher, const std::string& student, const std::vector<Need>& needs,
                  const Shape& image) {
    const auto backend = make_backend("cpu");
    Parameters parameters(*backend, false);  // never allocated: what is asked for follows from the layout
    const auto t = make_network(teacher, 1, parameters, "teacher."), s = make_network(student, 1, parameters, "student.");
    require_pair(method, *t, *s, needs, image);
}

size_t pair_stages(const Network& teacher, const Network& student, std::vector<std::string>& notes) {
    const size_t t = teacher.stages().size(), s = student.stages().size(), paired = std::min(t, s);
    if (t != s)
        notes.push_back(text("teacher ", teacher.name(), " has ", t, " stages and student ", student.name(), " ", s, "; the first ", paired,
                             " are compared"));
    return paired;
}

}  // namespace distill
