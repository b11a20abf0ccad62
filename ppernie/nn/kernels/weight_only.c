/* Float32 rows times a matrix that lies in 4 or 8 bits with scales, or in half precision, one row for each output.
 *
 * What was unpacked is multiplied while it is in registers. Of a few rows, as in generation, fetching the matrix takes
 * the time; many go through it a few at once. On an AMD Zen 5 that is twice as fast as making blocks of the matrix
 * float for the BLAS that Paddle loads, and more.
 */
#include "kernels.h"

#define LANES 16
#define STEP 32       /* inputs that are unpacked together; groups are multiples of it */
#define TOGETHER 4    /* rows that share what is in registers */
#define AT_ONCE 8     /* rows that go through the matrix together, and stay in a core's cache */

typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef int8_t Bytes __attribute__((vector_size(LANES)));
typedef int16_t Shorts __attribute__((vector_size(2 * LANES)));
typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));

/* `scale` is NULL for 16 bits; `group` inputs of an output share one. */
typedef struct {
    const uint8_t *weight;
    const uint16_t *scale;
    idx outputs, inputs, group, bits;
} Matrix;

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

/* In two steps: GCC 12 takes a single one apart, number by number. */
INLINE Ints bytes(const uint8_t *from) {
    Bytes b;
    memcpy(&b, from, sizeof b);
    return __builtin_convertvector(__builtin_convertvector(b, Shorts), Ints);
}

/* The next 32 numbers. Of 4 bits a byte holds inputs 2j, in its high half, and 2j + 1: `first` are the even ones. */
INLINE void unpack(const uint8_t *from, idx bits, Floats *first, Floats *second) {
    if (bits == 16) {
        *first = halves(from);
        *second = halves(from + 2 * LANES);
    } else if (bits == 8) {
        *first = __builtin_convertvector(bytes(from), Floats);
        *second = __builtin_convertvector(bytes(from + LANES), Floats);
    } else {
        Ints both = bytes(from);
        *first = __builtin_convertvector(both >> 4, Floats);
        *second = __builtin_convertvector((both << 28) >> 28, Floats);
    }
}

INLINE float scale_of(Matrix m, idx output, idx start) {
    return m.scale ? half(m.scale[(output * m.inputs + start) / m.group]) : 1.0f;
}

/* An output of `rows` rows; the compiler knows their number and the bits. */
INLINE void dot(Matrix m, idx output, const float *x, float *y, idx rows, idx bits) {
    const uint8_t *w = m.weight + output * m.inputs * bits / 8;
    Floats total[TOGETHER] = {0};
    for (idx start = 0; start < m.inputs; start += m.group) {
        Floats first_sum[TOGETHER] = {0}, second_sum[TOGETHER] = {0}, first, second;
        for (idx i = start; i < start + m.group; i += STEP, w += STEP * bits / 8) {
            unpack(w, bits, &first, &second);
            for (idx r = 0; r < rows; r++) {
                first_sum[r] += first * load(x + r * m.inputs + i);
                second_sum[r] += second * load(x + r * m.inputs + i + LANES);
            }
        }
        float scale = scale_of(m, output, start);
        for (idx r = 0; r < rows; r++) total[r] += scale * (first_sum[r] + second_sum[r]);
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

ROW void output_of(Matrix m, idx output, const float *x, float *y, idx rows) {
    if (m.bits == 4)
        dots(m, output, x, y, rows, 4);
    else if (m.bits == 8)
        dots(m, output, x, y, rows, 8);
    else
        dots(m, output, x, y, rows, 16);
}

/* As `unpack` lays out 4 bits: of 32 inputs the even ones, then the odd ones. */
static void part_even_and_odd(const float *x, float *to, idx n) {
    for (idx i = 0; i < n; i += STEP)
        for (idx j = 0; j < LANES; j++) {
            to[i + j] = x[i + 2 * j];
            to[i + LANES + j] = x[i + 2 * j + 1];
        }
}

/* y [rows, outputs] = x [rows, inputs] times the matrix. */
void weight_only_linear(const float *x, const uint8_t *weight, const uint16_t *scale, float *y, idx rows, idx outputs,
                        idx inputs, idx group, idx bits) {
    Matrix m = {weight, scale, outputs, inputs, group, bits};
    float *parted = NULL;
    if (bits == 4) {
        parted = malloc(rows * inputs * sizeof(float));
        part_even_and_odd(x, parted, rows * inputs);
        x = parted;
    }
    for (idx start = 0; start < rows; start += AT_ONCE) {
        idx count = rows - start < AT_ONCE ? rows - start : AT_ONCE;
#pragma omp parallel for schedule(static) if (count * outputs * inputs > PARALLEL)
        for (idx o = 0; o < outputs; o++) output_of(m, o, x + start * inputs, y + start * outputs, count);
    }
    free(parted);
}
