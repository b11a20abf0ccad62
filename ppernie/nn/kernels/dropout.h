/* Dropout whose mask is drawn from a seed, again and again alike. */
#ifndef PPERNIE_DROPOUT_H
#define PPERNIE_DROPOUT_H

#include "kernels.h"

/* `threshold` = p * 2^32; an element is kept where its random word is not below it. */
typedef struct {
    uint32_t threshold, key0, key1;
    float scale;
} Dropout;

INLINE Dropout dropout_of(double p, uint64_t seed) {
    Dropout d = {(uint32_t)(p * 4294967296.0), (uint32_t)seed, (uint32_t)(seed >> 32), (float)(1.0 / (1.0 - p))};
    return d;
}

/* Counter-based: the word depends on the seed and the element's index alone, so that backward draws it anew
 * instead of storing a mask, and the number of threads changes nothing. Murmur3's finaliser, keyed twice. */
INLINE float dropped(float x, idx i, Dropout d) {
    uint32_t h = (uint32_t)i * 0x9E3779B1u + d.key0;
    h = (h ^ (h >> 16)) * 0x85EBCA6Bu + d.key1;
    h = (h ^ (h >> 13)) * 0xC2B2AE35u;
    h ^= h >> 16;
    return h >= d.threshold ? x * d.scale : 0.0f;
}

ROW void dropout_row(const float *x, float *y, idx start, idx n, Dropout d) {
#pragma omp simd
    for (idx i = 0; i < n; i++) y[i] = dropped(x[i], start + i, d);
}

#endif
