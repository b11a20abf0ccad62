/* Float32 training kernels for the CPU: what Paddle computes slowly around its matrix products.
 *
 * Called through ctypes on contiguous row-major buffers (ppernie/nn/kernels/__init__.py). Per-row work sits in
 * functions of its own, because GCC clones those for each instruction set but not the bodies of parallel regions.
 */
#include "dropout.h"

/* ---------------------------------------------------------------- dropout */

/* y = dropout(x); called with the output's gradient it gives the input's. */
void dropout(const float *x, float *y, idx n, double p, uint64_t seed) {
    Dropout d = dropout_of(p, seed);
#pragma omp parallel for schedule(static) if (n > PARALLEL)
    for (idx i = 0; i < n; i += BLOCK) dropout_row(x + i, y + i, i, n - i < BLOCK ? n - i : BLOCK, d);
}

/* ---------------------------------------------------------------- gelu */

/* The normal distribution function and exp(-x^2/2). The tail Phi(-a) is exp(-a^2/2) t P(t), t = 1/(1 + 0.26 a);
 * P is a least-squares fit on [0, 14] with relative error 2.5e-8. */
INLINE float normal_cdf(float x, float *density) {
    float a = fabsf(x), t = 1.0f / (1.0f + 0.26f * a), e = exp_negative(-0.5f * x * x);
    float p = 0.0305048066f;
    p = p * t - 0.15282848f;
    p = p * t + 0.251490652f;
    p = p * t - 0.150948315f;
    p = p * t + 0.160947458f;
    p = p * t + 0.0510278322f;
    p = p * t + 0.103030219f;
    p = p * t + 0.103016755f;
    p = p * t + 0.10375906f;
    float tail = e * t * p;
    *density = e;
    return x > 0.0f ? 1.0f - tail : tail;
}

ROW void gelu_row(const float *x, float *y, idx n) {
#pragma omp simd
    for (idx i = 0; i < n; i++) {
        float density;
        y[i] = x[i] * normal_cdf(x[i], &density);
    }
}

ROW void gelu_grad_row(const float *x, const float *dy, float *dx, idx n) {
#pragma omp simd
    for (idx i = 0; i < n; i++) {
        float density, cdf = normal_cdf(x[i], &density);
        dx[i] = dy[i] * (cdf + x[i] * density * 0.398942280f);
    }
}

void gelu(const float *x, float *y, idx n) {
#pragma omp parallel for schedule(static) if (n > PARALLEL)
    for (idx i = 0; i < n; i += BLOCK) gelu_row(x + i, y + i, n - i < BLOCK ? n - i : BLOCK);
}

void gelu_grad(const float *x, const float *dy, float *dx, idx n) {
#pragma omp parallel for schedule(static) if (n > PARALLEL)
    for (idx i = 0; i < n; i += BLOCK) gelu_grad_row(x + i, dy + i, dx + i, n - i < BLOCK ? n - i : BLOCK);
}

/* ---------------------------------------------------------------- bias */

ROW void add_row(float *y, const float *x, idx n) {
#pragma omp simd
    for (idx i = 0; i < n; i++) y[i] += x[i];
}

ROW void add_four_rows(float *y, const float *x, idx stride, idx n) {
#pragma omp simd
    for (idx i = 0; i < n; i++) y[i] += (x[i] + x[i + stride]) + (x[i + 2 * stride] + x[i + 3 * stride]);
}

/* y += bias in place, row by row. */
void add_bias(float *y, const float *bias, idx rows, idx cols) {
#pragma omp parallel for schedule(static) if (rows * cols > PARALLEL)
    for (idx r = 0; r < rows; r++) add_row(y + r * cols, bias, cols);
}

/* sums[c] = sum of x[:, c]. */
void column_sums(const float *x, float *sums, idx rows, idx cols) {
    idx block = 512;
    memset(sums, 0, cols * sizeof(float));
#pragma omp parallel for schedule(static) if (rows * cols > PARALLEL)
    for (idx c = 0; c < cols; c += block) {
        idx n = cols - c < block ? cols - c : block, r = 0;
        for (; r + 4 <= rows; r += 4) add_four_rows(sums + c, x + r * cols + c, cols, n);
        for (; r < rows; r++) add_row(sums + c, x + r * cols + c, n);
    }
}

/* ---------------------------------------------------------------- dropout + residual + layer norm */

/* sum = residual + dropout(x); without a residual the norm is of x itself and sum is not written. */
ROW void norm_row(const float *x, const float *residual, const float *weight, const float *bias, float *y, float *sum,
                  float *mean_out, float *rstd_out, idx row, idx cols, float epsilon, Dropout d) {
    float total = 0.0f, squares = 0.0f;
    if (residual) {
#pragma omp simd
        for (idx i = 0; i < cols; i++) sum[i] = residual[i] + dropped(x[i], row * cols + i, d);
        x = sum;
    }
#pragma omp simd reduction(+ : total)
    for (idx i = 0; i < cols; i++) total += x[i];
    float mean = total / cols;
#pragma omp simd reduction(+ : squares)
    for (idx i = 0; i < cols; i++) squares += (x[i] - mean) * (x[i] - mean);
    float rstd = 1.0f / sqrtf(squares / cols + epsilon);
#pragma omp simd
    for (idx i = 0; i < cols; i++) y[i] = (x[i] - mean) * rstd * weight[i] + bias[i];
    *mean_out = mean;
    *rstd_out = rstd;
}

void norm(const float *x, const float *residual, const float *weight, const float *bias, float *y, float *sum,
          float *mean, float *rstd, idx rows, idx cols, float epsilon, double p, uint64_t seed) {
    Dropout d = dropout_of(p, seed);
#pragma omp parallel for schedule(static) if (rows * cols > PARALLEL)
    for (idx r = 0; r < rows; r++)
        norm_row(x + r * cols, residual ? residual + r * cols : NULL, weight, bias, y + r * cols,
                 sum ? sum + r * cols : NULL, mean + r, rstd + r, r, cols, epsilon, d);
}

/* dsum is the residual's gradient; dx, where asked for, is dsum through the dropout. */
ROW void norm_grad_row(const float *dy, const float *sum, const float *weight, float *dsum, float *dx, float *dweight,
                       float *dbias, float mean, float rstd, idx row, idx cols, Dropout d) {
    float along_one = 0.0f, along_x = 0.0f;
#pragma omp simd reduction(+ : along_one, along_x)
    for (idx i = 0; i < cols; i++) {
        float normal = (sum[i] - mean) * rstd, g = dy[i] * weight[i];
        along_one += g;
        along_x += g * normal;
        dweight[i] += dy[i] * normal;
        dbias[i] += dy[i];
    }
    along_one /= cols;
    along_x /= cols;
#pragma omp simd
    for (idx i = 0; i < cols; i++)
        dsum[i] = rstd * (dy[i] * weight[i] - along_one - (sum[i] - mean) * rstd * along_x);
    if (dx) {
#pragma omp simd
        for (idx i = 0; i < cols; i++) dx[i] = dropped(dsum[i], row * cols + i, d);
    }
}

/* Rows go to a fixed number of parts, so that the sums over rows do not depend on the number of threads. */
#define PARTS 16

void norm_grad(const float *dy, const float *sum, const float *weight, const float *mean, const float *rstd,
               float *dsum, float *dx, float *dweight, float *dbias, idx rows, idx cols, double p, uint64_t seed) {
    Dropout d = dropout_of(p, seed);
    float *partial = calloc(2 * PARTS * cols, sizeof(float));
#pragma omp parallel for schedule(static) if (rows * cols > PARALLEL)
    for (idx part = 0; part < PARTS; part++)
        for (idx r = rows * part / PARTS; r < rows * (part + 1) / PARTS; r++)
            norm_grad_row(dy + r * cols, sum + r * cols, weight, dsum + r * cols, dx ? dx + r * cols : NULL,
                          partial + part * cols, partial + (PARTS + part) * cols, mean[r], rstd[r], r, cols, d);
    memset(dweight, 0, cols * sizeof(float));
    memset(dbias, 0, cols * sizeof(float));
    for (idx part = 0; part < PARTS; part++) {
        add_row(dweight, partial + part * cols, cols);
        add_row(dbias, partial + (PARTS + part) * cols, cols);
    }
    free(partial);
}
