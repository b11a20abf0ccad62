/* A matrix in 4 or 8 bits with scales, or in half precision, and the ways to multiply by a row of it. */
#ifndef PPERNIE_WEIGHT_ONLY_H
#define PPERNIE_WEIGHT_ONLY_H

#include "kernels.h"

#define STEP 32    /* inputs that are unpacked together */
#define TOGETHER 4 /* rows that share what is in registers */

/* `scale` is NULL for 16 bits; `group` inputs of an output share one, and are a multiple of STEP. Of 4 bits a byte holds
 * inputs 2j, in its high half, and 2j + 1. */
typedef struct {
    const uint8_t *weight;
    const uint16_t *scale;
    idx outputs, inputs, group, bits;
} Matrix;

/* One output of `rows` rows of x [rows, inputs], in the order in which numbers are unpacked, into y [rows, outputs]: by
 * vectors of 8 numbers, or of 16, which needs AVX-512. */
typedef void Multiply(Matrix m, idx output, const float *x, float *y, idx rows);
Multiply multiply_by_8, multiply_by_16;

#endif
