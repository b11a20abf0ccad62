/* Products by vectors of LANES numbers: the body of weight_only_8.c and weight_only_16.c.
 *
 * A vector must fit a register. Of vectors of 16 numbers AVX2 keeps the halves of the sums in memory, and takes several
 * times as long.
 */
#include "weight_only.h"

#define VECTORS (STEP / LANES)

typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef int32_t Four __attribute__((vector_size(16)));
typedef int32_t Eight __attribute__((vector_size(32)));
typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));

/* Moving the exponent by a product makes normal numbers of subnormal ones, too. */
INLINE float half(uint16_t bits) {
    union { uint32_t i; float f; } x = {(uint32_t)(bits & 0x7FFF) << 13};
    x.f *= 0x1p112f;
    x.i |= (uint32_t)(bits & 0x8000) << 16;
    return x.f;
}

INLINE Floats load(const float *x) {
    Floats v;
    memcpy(&v, x, sizeof v);
    return v;
}

INLINE Floats halves(const uint8_t *from) {
    Halves h;
    memcpy(&h, from, sizeof h);
    Ints bits = __builtin_convertvector(h, Ints);
    Floats f = (Floats)((bits & 0x7FFF) << 13) * 0x1p112f;
    return (Floats)((Ints)f | ((bits & 0x8000) << 16));
}

/* Vector k of the STEP numbers at `from`. Of 4 or 8 bits these are as many words of 32 bits; all lanes that hold the same
 * word shift their number to its end. Compilers widen bytes in many more instructions. */
INLINE Floats numbers(const uint8_t *from, idx bits, idx k) {
    if (bits == 16) return halves(from + 2 * LANES * k);
    Ints words, left;
    if (bits == 4) {
        Four four;
        memcpy(&four, from, sizeof four);
        words = __builtin_shufflevector(four, four, REPEAT_4);
    } else {
        Eight eight;
        memcpy(&eight, from, sizeof eight);
        words = __builtin_shufflevector(eight, eight, REPEAT_8);
    }
    for (idx i = 0; i < LANES; i++) left[i] = 32 - bits * ((k * LANES + i) / bits + 1);
    return __builtin_convertvector((words << left) >> (32 - bits), Floats);
}

INLINE float scale_of(Matrix m, idx output, idx start) {
    return m.scale ? half(m.scale[(output * m.inputs + start) / m.group]) : 1.0f;
}

/* An output of `rows` rows; the compiler knows their number and the bits. */
INLINE void dot(Matrix m, idx output, const float *x, float *y, idx rows, idx bits) {
    const uint8_t *w = m.weight + output * m.inputs * bits / 8;
    Floats total[TOGETHER] = {0};
    for (idx start = 0; start < m.inputs; start += m.group) {
        Floats sums[2][TOGETHER] = {0}; /* two, so that fewer products wait for the one before them */
        for (idx i = start; i < start + m.group; i += STEP, w += STEP * bits / 8)
#pragma GCC unroll 4
            for (idx k = 0; k < VECTORS; k++) {
                Floats some = numbers(w, bits, k);
                for (idx r = 0; r < rows; r++) sums[k % 2][r] += some * load(x + r * m.inputs + i + k * LANES);
            }
        float scale = scale_of(m, output, start);
        for (idx r = 0; r < rows; r++) total[r] += scale * (sums[0][r] + sums[1][r]);
    }
    for (idx r = 0; r < rows; r++) {
        float sum = 0.0f;
        for (idx i = 0; i < LANES; i++) sum += total[r][i];
        y[r * m.outputs + output] = sum;
    }
}

INLINE void dots(Matrix m, idx output, const float *x, float *y, idx rows, idx bits) {
    idx r = 0;
    for (; r + TOGETHER <= rows; r += TOGETHER) dot(m, output, x + r * m.inputs, y + r * m.outputs, TOGETHER, bits);
    for (; r < rows; r++) dot(m, output, x + r * m.inputs, y + r * m.outputs, 1, bits);
}

INLINE void multiply(Matrix m, idx output, const float *x, float *y, idx rows) {
    if (m.bits == 4)
        dots(m, output, x, y, rows, 4);
    else if (m.bits == 8)
        dots(m, output, x, y, rows, 8);
    else
        dots(m, output, x, y, rows, 16);
}
