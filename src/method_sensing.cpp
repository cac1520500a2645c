#include "method_sensing.h"

#include "base_error.h"
#include "core_streams.h"

namespace distill {
namespace {

std::vector<Shape> shapes(const Network& network, const Var& image) {
    const Recording off(nullptr);
    std::vector<Shape> all;
    for (const Var& point : network.forward(image, Mode::evaluate).sensing) all.push_back(point.shape());
    return all;
}

}  // namespace

Sensing::Sensing(const std::string& method, const Teacher& by, const Network& to, Backend& backend, const Shape& image)
    : pair("teacher " + by.network().name() + " and student " + to.name()) {
    const Var empty(Tensor::zeros(backend, {1, image.h, image.w, 3}));
    teacher = shapes(by.network(), empty);
    student = shapes(to, empty);
    if (teacher.size() != student.size())
        input_error(method, ": ", pair, " do not pair: ", teacher.size(), " and ", student.size(),
                    " sensing points; name two VGGs, or two networks of three stages");
}

}  // namespace distill
