/* Float32 rows times a matrix that lies in 4 or 8 bits with scales, or in half precision, one row for each output.
 *
 * What was unpacked is multiplied while it is in registers. Of a few rows, as in generation, fetching the matrix takes
 * the time; many go through it a few at once. `ppernie bench linear` measures it beside float32.
 */
#include "weight_only.h"

#define AT_ONCE 8 /* rows that go through the matrix together, and stay in a core's cache */

static int has_avx512(void) {
#ifdef CLONES
    return __builtin_cpu_supports("x86-64-v4");
#else
    return 0;
#endif
}

/* As STEP numbers are unpacked: the first of each word of 32 bits, then the second, from the word's low end. */
static void reorder(const float *x, float *to, idx n, idx bits) {
    idx in_word = 32 / bits;
    for (idx i = 0; i < n; i += STEP)
        for (idx j = 0; j < STEP; j++) {
            idx input = j % bits * in_word + j / bits;
            to[i + j] = x[i + (bits == 4 ? input ^ 1 : input)]; /* a byte's low half is its second input */
        }
}

/* y [rows, outputs] = x [rows, inputs] times the matrix. */
void weight_only_linear(const float *x, const uint8_t *weight, const uint16_t *scale, float *y, idx rows, idx outputs,
                        idx inputs, idx group, idx bits) {
    Matrix m = {weight, scale, outputs, inputs, group, bits};
    Multiply *multiply = has_avx512() ? multiply_by_16 : multiply_by_8;
    float *ordered = NULL;
    if (bits < 16) {
        ordered = malloc(rows * inputs * sizeof(float));
        reorder(x, ordered, rows * inputs, bits);
        x = ordered;
    }
    for (idx start = 0; start < rows; start += AT_ONCE) {
        idx count = rows - start < AT_ONCE ? rows - start : AT_ONCE;
#pragma omp parallel for schedule(static) if (count * outputs * inputs > PARALLEL)
        for (idx o = 0; o < outputs; o++) multiply(m, o, x + start * inputs, y + start * outputs, count);
    }
    free(ordered);
}
