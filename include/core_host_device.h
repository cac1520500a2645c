// core_host_device.h: marks what runs on the host and on the GPU; nothing where nvcc does not compile.
// defines: DISTILL_HD
#pragma once

#ifdef __CUDACC__
#define DISTILL_HD __host__ __device__
#else
#define DISTILL_HD
#endif
