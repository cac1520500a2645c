#!/bin/sh
# findings/cudnn-memory-bus-width.sh    cuDNN 9.27: the JSON that describes a GPU must have "memoryBusWidth"; 9.26 takes the same text
# without. Where cuDNN's plans are made ahead of time for a described GPU, an upgrade within version 9 so ends in CUDNN_STATUS_BAD_PARAM.
# And from 9.27 on nothing is finalised where no driver's library is found. Our program is not used; see docs/cudnn.md.
#
# PyPI's nvidia-cudnn-cu13 9.26.1.1 and 9.27.0.42 (500 MB each) are fetched into a temporary folder; Python's ctypes finalises a
# CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR from an H100's properties, with and without the key, once as the machine is and once with a
# libcuda.so.1 of our own whose functions all answer CUDA_ERROR_STUB_LIBRARY (34), as the CUDA toolkit's stub does. No GPU is needed.
# Seen: 9.26.1 success in all cases; 9.27.0 with the stub BAD_PARAM without the key, success with it; without driver and stub
# SUBLIBRARY_LOADING_FAILED.
# Needs x86-64 Linux, python3 with pip, gcc, nm. Not in CI; run it before a commit that concerns it.
# Exit codes: 0 as described, 1 the behaviour changed, 2 it could not be tried.
set -u
python=${PYTHON:-python3}
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 2' HUP INT TERM
cd "$work" || exit 2

cat > describe.py <<'EOF'
import ctypes, json, sys
cudnn = ctypes.CDLL(sys.argv[1] + "/libcudnn.so.9")
cudnn.cudnnGetErrorString.restype = ctypes.c_char_p
DEVICEPROP_DESCRIPTOR, JSON_REPRESENTATION, TYPE_CHAR = 38, 2702, 24  # of cudnn_graph.h

def finalised(properties):
    descriptor, text = ctypes.c_void_p(), json.dumps(properties, separators=(",", ":")).encode()
    for status in (cudnn.cudnnBackendCreateDescriptor(DEVICEPROP_DESCRIPTOR, ctypes.byref(descriptor)),
                   cudnn.cudnnBackendSetAttribute(descriptor, JSON_REPRESENTATION, TYPE_CHAR, ctypes.c_int64(len(text)), text)):
        if status != 0:
            sys.exit("cudnnBackend…: " + cudnn.cudnnGetErrorString(status).decode())
    return cudnn.cudnnGetErrorString(cudnn.cudnnBackendFinalize(descriptor)).decode().replace("CUDNN_STATUS_", "")

h100 = {"deviceName": "NVIDIA H100", "deviceVer": 900, "multiProcessorCount": 132, "smClockRateKHz": 1980000,
        "memClockRateKHz": 1500000, "l2CacheSize": 52428800, "maxSharedMemoryPerBlockOptin": 232448,
        "maxGridSize": [2147483647, 65535, 65535], "maxBlockSize": [1024, 1024, 64], "cudaDeviceId": 0, "driverVer": 13000,
        "regsPerBlock": 65536, "warpSize": 32, "maxSharedMemoryPerBlock": 49152, "reservedSharedMemoryPerBlock": 1024,
        "maxRegistersPerSM": 65536, "pciDeviceId": 0, "maxCtasPerSM": 32, "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048,
        "isTccDriver": 0, "supportCoopLaunch": 1, "totalGlobalMem": 80000000000}
print("without", finalised(h100) + ", with", finalised({**h100, "memoryBusWidth": 5120}))
EOF

changed=0
# expect WHAT EXPECTED COMMAND…
expect() {
    what=$1 expected=$2
    shift 2
    said=$("$@" 2> said.err) || { cat said.err >&2; exit 2; }
    if [ "$said" = "$expected" ]; then echo "$what: $said"; else echo "$what: $said (expected: $expected)"; changed=1; fi
}
for version in 9.26.1.1 9.27.0.42; do
    "$python" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --target $version \
        "nvidia-cudnn-cu13==$version" || { echo "$0: nvidia-cudnn-cu13 $version could not be fetched" >&2; exit 2; }
    libraries=$PWD/$version/nvidia/cudnn/lib
    mkdir -p stub-$version
    nm -D --undefined-only "$libraries"/*.so.9 | sed -n 's/.* U \(cu[A-Z][A-Za-z0-9_]*\)$/int \1(void) { return 34; }/p' | sort -u > stub.c
    gcc -w -shared -fPIC -Wl,-soname,libcuda.so.1 stub.c -o stub-$version/libcuda.so.1 || exit 2
    driver=yes
    "$python" -c 'import ctypes; ctypes.CDLL("libcuda.so.1")' 2> /dev/null || driver=no
    case $version in
    9.26*) alone="without SUCCESS, with SUCCESS" stubbed=$alone ;;
    *) alone="without SUBLIBRARY_LOADING_FAILED, with SUBLIBRARY_LOADING_FAILED" stubbed="without BAD_PARAM, with SUCCESS" ;;
    esac
    [ $driver = yes ] || expect "cuDNN $version, no driver" "$alone" "$python" describe.py "$libraries"
    expect "cuDNN $version, a driver's stub" "$stubbed" env LD_LIBRARY_PATH="$PWD/stub-$version" "$python" describe.py "$libraries"
done
[ $changed = 0 ] && echo "as described: 9.27 wants memoryBusWidth, and a driver's library" || echo "changed: not as described"
exit $changed
