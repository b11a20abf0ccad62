/* What the kernels share: cloning for instruction sets, the exponential. */
#ifndef PPERNIE_KERNELS_H
#define PPERNIE_KERNELS_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__) && __GNUC__ >= 12
#define CLONES
#define ROW __attribute__((noinline, target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"))) static
#else
#define ROW static
#endif
#define INLINE static inline __attribute__((always_inline))

#define BLOCK 4096      /* elements that one task of an element-wise kernel handles */
#define PARALLEL 32768  /* elements below which starting threads costs more than it saves */

typedef int64_t idx;

/* exp(x) for x <= 0 to about 1 ulp: 2^k * e^r with |r| <= ln(2) / 2; 0 below -87. */
INLINE float exp_negative(float x) {
    float shifted = x * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    float k = shifted - 12582912.0f;
    float r = (x - k * 0.693359375f) + k * 2.12194440e-4f; /* ln(2) in two parts */
    float e = 1.0f / 720;
    e = e * r + 1.0f / 120;
    e = e * r + 1.0f / 24;
    e = e * r + 1.0f / 6;
    e = e * r + 0.5f;
    e = e * r + 1.0f;
    e = e * r + 1.0f;
    union { float f; int32_t i; } bits = {shifted}, result = {e};
    result.i += (int32_t)((uint32_t)bits.i << 23);
    return x < -87.0f ? 0.0f : result.f;
}

#endif
