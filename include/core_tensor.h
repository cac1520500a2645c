// core_tensor.h: memory of a device, seen in a shape.
// defines: Tensor
#pragma once
#include <cstdint>
#include <vector>

#include "core_arena.h"
#include "core_dtype.h"
#include "core_shape.h"

namespace distill {

class Backend;

/// A reference-counted view of device memory: copies share, the last one gives the block back to its backend's arena.
/// Elements are float unless made otherwise (core_dtype.h). Not thread-safe: a training owns its tensors.
class Tensor {
  public:
    Tensor() = default;
    Tensor(Backend& backend, Shape shape, DType type = DType::f32);  ///< uninitialised
    static Tensor zeros(Backend& backend, Shape shape);
    static Tensor from_host(Backend& backend, Shape shape, const std::vector<float>& values);
    static Tensor integers(Backend& backend, Shape shape);
    static Tensor like(const Tensor& other);  ///< uninitialised, of its backend, shape and type

    bool defined() const { return block_.get() != nullptr; }
    const Shape& shape() const { return shape_; }
    int64_t size() const { return shape_.size(); }
    DType type() const { return type_; }
    size_t bytes() const { return static_cast<size_t>(size() * bytes_of(type_)); }
    Backend& backend() const;
    /// The elements as what they are; a failure if they are something else.
    float* data() const { return static_cast<float*>(elements(DType::f32)); }
    int32_t* ints() const { return static_cast<int32_t*>(elements(DType::i32)); }
    bfloat16* halves() const { return static_cast<bfloat16*>(elements(DType::bf16)); }
    template <class T>
    T* as() const {
        return static_cast<T*>(elements(type_of<T>));
    }
    void* raw() const { return static_cast<char*>(block_.get()->memory) + offset_ * bytes_of(type_); }

    /// The same memory from element `offset` on, seen in another shape (which must fit).
    Tensor view(int64_t offset, Shape shape) const;
    Tensor reshaped(Shape shape) const;  ///< same size, other extents
    /// No other tensor shares this memory, and no other stream can still be at work on it, so it may be overwritten.
    bool unique() const { return block_.get()->references == 1 && block_.get()->arena->settled(block_.get()); }

    void zero();
    void copy_from(const Tensor& other);  ///< same backend, same size, same type
    void upload(const float* values);     ///< size() floats from host memory, rounded if the elements are bfloat16
    void upload(const int32_t* values);
    std::vector<float> to_host() const;         ///< as floats; waits for the device
    std::vector<int32_t> ints_to_host() const;  ///< of integers()
    float item() const;                         ///< to_host() of one element

  private:
    void* elements(DType asked) const;
    BlockRef block_;
    int64_t offset_ = 0;
    Shape shape_;
    DType type_ = DType::f32;
};

}  // namespace distill
