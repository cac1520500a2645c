#!/bin/sh
# findings/onednn-one-map-any.sh    oneDNN 2.6.3: a convolution whose one map has a given layout (N,H,W,C) and whose other map is left to
# oneDNN (format_tag::any) gets the reference implementation, loops over single numbers, though it has fast kernels for the same shape both
# with both maps N,H,W,C and with both left to it. Nothing is said; the results are right. oneDNN's manual recommends `any` for convolutions.
# Our program is not used; it is why src/cpu_conv2d.cpp asks for both maps alike.
#
# Debian 12's libdnnl-dev 2.6.3-1 is fetched into a temporary folder, and one C++ program asks for the implementation of a 3x3 convolution
# (64 to 64 channels, 8 images of 28x28, stride 1, the weights' layout always oneDNN's choice) in all four combinations, and times the
# forward pass of training. DNNL_MAX_CPU_ISA holds oneDNN to what other CPUs have.
# Seen: held to SSE4.1, to AVX2 and to AVX-512, all three directions of training are "ref:any" in both mixed combinations, and never in the
# other two. Forward on two Ice Lake cores: 2.4 and 3.0 ms with AVX-512 and 3.5 to 7.0 with AVX2 alike, 616 to 808 ms mixed. (Described as
# forward_inference, the pass alone takes brgconv:avx512_core in all four; those without AVX-512 the reference as above.)
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

cat > maps.cpp <<'EOF2'
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <dnnl.hpp>

using dnnl::memory;
using Tag = memory::format_tag;

int main() {
    const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
    dnnl::stream queue(cpu);
    const memory::dims maps{8, 64, 28, 28}, kernel{64, 64, 3, 3}, one{1, 1};
    constexpr auto f32 = memory::data_type::f32;
    constexpr auto direct = dnnl::algorithm::convolution_direct;
    const memory::desc w(kernel, f32, Tag::any);
    bool as_described = true;
    for (const Tag from : {Tag::nhwc, Tag::any})
        for (const Tag to : {Tag::nhwc, Tag::any}) {
            const memory::desc x(maps, f32, from), y(maps, f32, to);
            const dnnl::convolution_forward::primitive_desc forward({dnnl::prop_kind::forward_training, direct, x, w, y, one, one, one}, cpu);
            const dnnl::convolution_backward_data::primitive_desc data({direct, x, w, y, one, one, one}, cpu, forward);
            const dnnl::convolution_backward_weights::primitive_desc weights({direct, x, w, y, one, one, one}, cpu, forward);
            const std::string names[] = {forward.impl_info_str(), data.impl_info_str(), weights.impl_info_str()};

            const memory in(forward.src_desc(), cpu), by(forward.weights_desc(), cpu), out(forward.dst_desc(), cpu);
            for (const memory* m : {&in, &by}) std::memset(m->get_data_handle(), 0, m->get_desc().get_size());
            const dnnl::convolution_forward convolution(forward);
            double ms = 0;
            for (int round = 0; round < 2; ++round) {
                const auto begin = std::chrono::steady_clock::now();
                convolution.execute(queue, {{DNNL_ARG_SRC, in}, {DNNL_ARG_WEIGHTS, by}, {DNNL_ARG_DST, out}});
                queue.wait();
                ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
            }
            const auto name = [](Tag t) { return t == Tag::any ? "any " : "nhwc"; };
            std::printf("  x %s y %s: forward %s (%.1f ms), of data %s, of weights %s\n", name(from), name(to), names[0].c_str(), ms,
                        names[1].c_str(), names[2].c_str());
            for (const std::string& n : names) as_described &= (n == "ref:any") == (from != to);
        }
    const dnnl_version_t* v = dnnl_version();
    std::printf("  oneDNN %d.%d.%d\n", v->major, v->minor, v->patch);
    return as_described ? 0 : 3;
}
EOF2
g++ -std=c++17 -O1 -isystem root/usr/include maps.cpp -L"$libraries" -ldnnl -Wl,-rpath,"$libraries" -o maps || exit 2

changed=0
tried="SSE41 AVX2"
grep -q avx512bw /proc/cpuinfo && tried="$tried AVX512_CORE"
for isa in $tried; do
    echo "DNNL_MAX_CPU_ISA=$isa:"
    DNNL_MAX_CPU_ISA=$isa ./maps
    case $? in
    0) ;;
    3) changed=1 ;;
    *) exit 2 ;;
    esac
done
[ $changed = 0 ] && echo "as described: one map given, the other left to oneDNN: its reference" || echo "changed: not as described"
exit $changed
