#include "core_tensor.h"

#include "base_error.h"
#include "core_backend.h"

namespace distill {
namespace {

const char* name_of(DType type) { return type == DType::f32 ? "float" : type == DType::bf16 ? "bfloat16" : "int32"; }

}  // namespace

Tensor::Tensor(Backend& backend, Shape shape, DType type)
    : block_(backend.arena().obtain(static_cast<size_t>(shape.size() * bytes_of(type)))), shape_(shape), type_(type) {}

void* Tensor::elements(DType asked) const {
    if (asked != type_) failure("Tensor ", to_string(shape_), ": its elements are ", name_of(type_), ", asked for as ", name_of(asked));
    return raw();
}

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

Tensor Tensor::integers(Backend& backend, Shape shape) { return Tensor(backend, shape, DType::i32); }

Tensor Tensor::like(const Tensor& other) { return Tensor(other.backend(), other.shape(), other.type()); }

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

void Tensor::zero() { backend().zero(raw(), bytes()); }

void Tensor::copy_from(const Tensor& other) {
    if (other.size() != size() || other.type() != type_)
        failure("Tensor::copy_from: ", to_string(other.shape()), ' ', name_of(other.type()), " into ", to_string(shape_), ' ',
                name_of(type_));
    backend().copy(raw(), other.raw(), bytes());
}

void Tensor::upload(const float* values) {
    if (type_ != DType::bf16) return backend().upload(data(), values, bytes());
    const std::vector<bfloat16> rounded(values, values + size());
    backend().upload(raw(), rounded.data(), bytes());
}
std::vector<int32_t> Tensor::ints_to_host() const {
    std::vector<int32_t> values(static_cast<size_t>(size()));
    backend().download(values.data(), ints(), bytes());
    return values;
}
void Tensor::upload(const int32_t* values) { backend().upload(ints(), values, bytes()); }

std::vector<float> Tensor::to_host() const {
    std::vector<float> values(static_cast<size_t>(size()));
    if (type_ == DType::bf16) {
        std::vector<bfloat16> stored(values.size());
        backend().download(stored.data(), raw(), bytes());
        values.assign(stored.begin(), stored.end());
    } else {
        backend().download(values.data(), data(), bytes());
    }
    return values;
}

float Tensor::item() const {
    if (size() != 1) failure("Tensor::item: ", to_string(shape_), " has more than one element");
    return to_host()[0];
}

}  // namespace distill
