#!/bin/sh
# findings/onednn-residual-gemm.sh    oneDNN 2.6.3: a binary-add post-op of a convolution adds the wrong values, silently, where the
# implementation is the matrix-product fallback ("x64:gemm:jit"). Our program is not used; it is why src/cpu_conv2d.cpp asks for the name.
#
# Debian 12's libdnnl-dev 2.6.3-1 is fetched into a temporary folder, and one C++ program computes a 1x1 convolution of 4 groups (8 to 4
# channels, 1x8x4x3, N,H,W,C) twice with oneDNN: alone, and with a binary-add post-op of a tensor of the result's shape and layout. The
# second should be the first plus that tensor. DNNL_MAX_CPU_ISA=AVX2 and SSE41 hold oneDNN to what CPUs without AVX-512 have.
# Seen on an AVX-512 CPU: with AVX2 and SSE41 "x64:gemm:jit", off by 1.96 (the largest sum is 2.6); unrestricted another kernel, right.
# Needs x86-64, g++, apt-get and dpkg-deb with Debian 12's package list. Not in CI; run it before a commit that concerns it.
# Exit codes: 0 as described, 1 the behaviour changed, 2 it could not be tried.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 2' HUP INT TERM
cd "$work" || exit 2

version=2.6.3-1
# apt's own sandbox user may not write here; what it fetches it checks by its hash all the same.
apt-get -qq -o APT::Sandbox::User=root download "libdnnl2=$version" "libdnnl-dev=$version" || { echo "$0: libdnnl $version could not be fetched" >&2; exit 2; }
for package in ./*.deb; do dpkg-deb -x "$package" root || exit 2; done
libraries=$(dirname "$(find "$PWD/root" -name 'libdnnl.so.2' | head -n 1)")

cat > add.cpp <<'EOF'
#include <cmath>
#include <cstdio>
#include <unordered_map>
#include <vector>
#include <dnnl.hpp>

using dnnl::memory;
constexpr auto f32 = memory::data_type::f32;

int main() {
    const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
    dnnl::stream queue(cpu);
    const memory::dims x_dims{1, 8, 4, 3}, w_dims{4, 1, 2, 1, 1}, y_dims{1, 4, 4, 3};
    const memory::desc x(x_dims, f32, memory::format_tag::nhwc), y(y_dims, f32, memory::format_tag::nhwc);
    const memory::desc w(w_dims, f32, memory::format_tag::goihw), any(w_dims, f32, memory::format_tag::any);
    std::vector<float> x_values(96), w_values(8), added(48);
    for (size_t i = 0; i < x_values.size(); ++i) x_values[i] = std::sin(1.0f + i);
    for (size_t i = 0; i < w_values.size(); ++i) w_values[i] = std::cos(2.0f + i);
    for (size_t i = 0; i < added.size(); ++i) added[i] = std::sin(3.0f + 2 * i);

    const auto run = [&](bool add, const char** name) {
        dnnl::post_ops post;
        if (add) post.append_binary(dnnl::algorithm::binary_add, y);
        dnnl::primitive_attr attributes;
        attributes.set_post_ops(post);
        const dnnl::convolution_forward::primitive_desc convolution(
            {dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, x, any, y, {1, 1}, {0, 0}, {0, 0}}, attributes, cpu);
        *name = add ? convolution.impl_info_str() : *name;
        std::vector<float> result(added.size());
        memory in(x, cpu, x_values.data()), weights(w, cpu, w_values.data()), placed(convolution.weights_desc(), cpu);
        dnnl::reorder(weights, placed).execute(queue, weights, placed);
        std::unordered_map<int, memory> arguments{
            {DNNL_ARG_SRC, in}, {DNNL_ARG_WEIGHTS, placed}, {DNNL_ARG_DST, memory(y, cpu, result.data())}};
        if (add) arguments.insert({DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, memory(y, cpu, added.data())});
        dnnl::convolution_forward(convolution).execute(queue, arguments);
        queue.wait();
        return result;
    };
    static const char* name = "";
    const std::vector<float> alone = run(false, &name), sum = run(true, &name);
    float worst = 0;
    for (size_t i = 0; i < sum.size(); ++i) worst = std::fmax(worst, std::fabs(sum[i] - (alone[i] + added[i])));
    const dnnl_version_t* v = dnnl_version();
    std::printf("oneDNN %d.%d.%d, %s: off by %.3g\n", v->major, v->minor, v->patch, name, worst);
    return worst > 1e-4f ? 3 : 0;
}
EOF
g++ -std=c++17 -O1 -isystem root/usr/include add.cpp -L"$libraries" -ldnnl -Wl,-rpath,"$libraries" -o add || exit 2

changed=0
for isa in AVX2 SSE41 ALL; do
    printf 'DNNL_MAX_CPU_ISA=%s: ' "$isa"
    said=$(DNNL_MAX_CPU_ISA=$isa ./add)
    code=$?
    echo "$said"
    case $isa,$code in
    AVX2,3 | SSE41,3) case $said in *gemm:jit*) ;; *) changed=1 ;; esac ;;
    AVX2,0 | SSE41,0) changed=1 ;;
    ALL,0 | ALL,3) ;;  # what the CPU here has: right with AVX-512, wrong with AVX2
    *) echo "$0: the program ended with $code" >&2; exit 2 ;;
    esac
done
[ $changed = 0 ] && echo "as described: the addition is wrong in the matrix-product fallback" || echo "changed: not as described"
exit $changed
