#include "tensor.h"

#include "backend.h"
#include "error.h"

namespace distill {
namespace {

BlockRef new_block(Backend& backend, const Shape& shape) {
    static_assert(sizeof(float) == sizeof(int32_t), "float and integer tensors share one element size");
    return BlockRef(backend.arena().obtain(static_cast<size_t>(shape.size()) * sizeof(float)));
}

}  // namespace

std::string to_string(const Shape& s) { return text('(', s.n, ',', s.h, ',', s.w, ',', s.c, ')'); }

Tensor::Tensor(Backend& backend, Shape shape) : block_(new_block(backend, shape)), shape_(shape) {}

Tensor Tensor::zeros(Backend& backend, Shape shape) {
    Tensor t(backend, shape);
    t.zero();
    return t;
}

Tensor Tensor::from_host(Backend& backend, Shape shape, const std::vector<float>& values) {
    if (static_cast<int64_t>(values.size()) != shape.size())
        failure("Tensor::from_host: ", values.size(), " values for shape ", to_string(shape));
    Tensor t(backend, shape);
    t.upload(values.data());
    return t;
}

Tensor Tensor::integers(Backend& backend, Shape shape) { return Tensor(backend, shape); }

Backend& Tensor::backend() const { return *block_.get()->arena->owner; }

Tensor Tensor::view(int64_t offset, Shape shape) const {
    if (offset < 0 || offset + shape.size() > size())
        failure("Tensor::view: ", to_string(shape), " from ", offset, " does not fit into ", to_string(shape_));
    Tensor t = *this;
    t.offset_ += offset;
    t.shape_ = shape;
    return t;
}

Tensor Tensor::reshaped(Shape shape) const {
    if (shape.size() != size()) failure("Tensor::reshaped: ", to_string(shape_), " has another size than ", to_string(shape));
    return view(0, shape);
}

void Tensor::zero() { backend().zero(data(), static_cast<size_t>(size()) * sizeof(float)); }

void Tensor::copy_from(const Tensor& other) {
    if (other.size() != size()) failure("Tensor::copy_from: ", to_string(other.shape()), " into ", to_string(shape_));
    backend().copy(data(), other.data(), static_cast<size_t>(size()) * sizeof(float));
}

void Tensor::upload(const float* values) { backend().upload(data(), values, static_cast<size_t>(size()) * sizeof(float)); }
void Tensor::upload(const int32_t* values) { backend().upload(data(), values, static_cast<size_t>(size()) * sizeof(int32_t)); }

std::vector<float> Tensor::to_host() const {
    std::vector<float> values(static_cast<size_t>(size()));
    backend().download(values.data(), data(), values.size() * sizeof(float));
    return values;
}

float Tensor::item() const {
    if (size() != 1) failure("Tensor::item: ", to_string(shape_), " has more than one element");
    return to_host()[0];
}

}  // namespace distill
