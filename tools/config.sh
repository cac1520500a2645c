#!/bin/sh
# Prints what the build found, one line each; fails, naming the Debian package, if something required is missing.
# Called by `make config` with CXX, INCLUDES, CUDA, NVCC, CUDA_HOME, CUDA_LIB, CUDA_RELEASE, CUDA_FITS, CUDNN_LIB,
# OPENBLAS_LIB, ONNX, ONNX_PACKAGES in the environment.
missing=
found() { printf '  ✓ %-14s %s\n' "$1" "$2"; }
absent() { printf '  ✗ %-14s %s\n' "$1" "$2"; }

# One run of the preprocessor finds every header and its version macros: lines "@ header version…".
probe() {
    for header in $1; do
        printf '#if __has_include(<%s>)\n#include <%s>\n@ %s %s\n#endif\n' "$header" "$header" "$(echo "$header" | tr -d .)" "$2"
    done
}
versions=$({
    probe oneapi/dnnl/dnnl_version.h DNNL_VERSION_MAJOR.DNNL_VERSION_MINOR.DNNL_VERSION_PATCH
    probe openblas_config.h OPENBLAS_VERSION
    probe openssl/opensslv.h OPENSSL_VERSION_STR
    probe doctest/doctest.h DOCTEST_VERSION_MAJOR.DOCTEST_VERSION_MINOR.DOCTEST_VERSION_PATCH
    probe zlib.h ZLIB_VERSION
    probe CLI/Version.hpp CLI11_VERSION
    probe nlohmann/detail/abi_macros.hpp NLOHMANN_JSON_VERSION_MAJOR.NLOHMANN_JSON_VERSION_MINOR.NLOHMANN_JSON_VERSION_PATCH
    [ "$CUDA" != 1 ] || probe cudnn_version.h CUDNN_MAJOR.CUDNN_MINOR.CUDNN_PATCHLEVEL
    for header in oneapi/dnnl/dnnl.hpp cblas.h stb/stb_image.h doctest/doctest.h CLI/CLI.hpp nlohmann/json.hpp openssl/evp.h zlib.h; do
        printf '#if __has_include(<%s>)\n@ has %s\n#endif\n' "$header" "$header"
    done
} | $CXX $INCLUDES -E -P -x c++ - 2>/dev/null | grep '^@')
version() { echo "$versions" | sed -n "s,^@ $1 ,,p" | tr -d '" ' | sed 's/^OpenBLAS//'; }
has() { echo "$versions" | tr -d ' ' | grep -qxF "@has$1"; }
require() {  # name, header, version, Debian package
    if has "$2"; then found "$1" "$3"; else absent "$1" "<$2> not found: Debian package $4"; missing="$missing $4"; fi
}

if command -v "${CXX%% *}" >/dev/null; then found compiler "$($CXX --version | head -n 1)"
else absent compiler "$CXX not found: Debian package g++"; missing="$missing g++"; fi
no_cudnn="not in $CUDA_HOME, the system or a Python package (nvidia-cudnn-cu$CUDA_RELEASE): set CUDNN_HOME=…"
if [ "$CUDA" != 1 ] && [ -n "$CUDA_FITS" ]; then absent cuDNN "$no_cudnn; a CPU-only build"
elif [ "$CUDA" != 1 ]; then absent CUDA "$([ -n "$NVCC" ] && echo "left out (CUDA=0)" || echo "nvcc not found: a CPU-only build")"
elif [ ! -x "$(command -v "$NVCC")" ]; then absent CUDA "CUDA=1, but nvcc was not found: set NVCC=…, or CUDA=0"; exit 1
elif [ -z "$CUDA_LIB" ]; then absent CUDA "no libcublas.so under $CUDA_HOME: set CUDA_HOME=…, or CUDA=0"; exit 1
elif [ -z "$CUDNN_LIB" ]; then absent cuDNN "$no_cudnn, or CUDA=0"; exit 1
else
    found CUDA "$("$NVCC" --version | sed -n 's/.*, V//p') in $CUDA_HOME"
    found cuDNN "$(version cudnn_versionh) in $(dirname "$(realpath -s "$CUDNN_LIB")")"
fi
require oneDNN oneapi/dnnl/dnnl.hpp "$(version oneapi/dnnl/dnnl_versionh)" libdnnl-dev
if [ -n "$OPENBLAS_LIB" ]; then require OpenBLAS cblas.h "$(version openblas_configh), OpenMP build in $OPENBLAS_LIB" libopenblas-openmp-dev
else require OpenBLAS cblas.h "$(version openblas_configh)" libopenblas-openmp-dev; fi
require stb stb/stb_image.h "found" libstb-dev
require doctest doctest/doctest.h "$(version doctest/doctesth)" doctest-dev
require CLI11 CLI/CLI.hpp "$(version CLI/Versionhpp)" libcli11-dev
require nlohmann-json nlohmann/json.hpp "$(version nlohmann/detail/abi_macroshpp)" nlohmann-json3-dev
require OpenSSL openssl/evp.h "$(version openssl/opensslvh)" libssl-dev
if [ "$ONNX" = 1 ]; then found ONNX "$(sed -n 's/.*VERSION = "\(.*\)".*/\1/p' /usr/include/onnx/common/version.h)"; else absent ONNX "no ONNX models (optional: Debian packages $ONNX_PACKAGES)"; fi
require zlib zlib.h "$(version zlibh)" zlib1g-dev
[ -z "$missing" ] || { echo "missing:$missing — \`make deps\` installs them"; exit 1; }
