// cuda_owned.h: handles of CUDA libraries that close themselves.
// defines: Closer, Owned, create
#pragma once
#include <memory>
#include <type_traits>

#include "gpu_status.h"

namespace distill {

/// Owns a library's handle. What closing it reports is lost: it happens in destructors, and concerns nothing that is still used.
template <auto close>
struct Closer {
    template <class T>
    void operator()(T* handle) const {
        close(handle);
    }
};
template <class Handle, auto close>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, Closer<close>>;

template <class Owner, class Create>
Owner create(const Create& make) {
    typename Owner::pointer handle = nullptr;
    DISTILL_CUDA_CHECK(make(&handle));
    return Owner(handle);
}

}  // namespace distill
