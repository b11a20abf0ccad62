/* Float32 self-attention on the CPU, forward and backward, on the output of a fused projection.
 *
 * Queries, keys and values are read where the projection left them, [batch, length, heads, (q, k, v), size], and
 * their gradients are written in the same layout: nothing is transposed or split in memory. One task is one head
 * of one example; the matrix products inside it come from the BLAS that Paddle itself loaded.
 */
#include "dropout.h"

typedef void (*Sgemm)(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a, int lda,
                      const float *b, int ldb, float beta, float *c, int ldc);
enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 };
static Sgemm sgemm;

/* Hands over the address of cblas_sgemm; the other functions here need it. */
void use_sgemm(Sgemm address) { sgemm = address; }

ROW void softmax_row(float *x, const float *mask, idx n) {
    float top = -INFINITY, total = 0.0f;
    if (mask) {
#pragma omp simd
        for (idx i = 0; i < n; i++) x[i] += mask[i];
    }
#pragma omp simd reduction(max : top)
    for (idx i = 0; i < n; i++) top = x[i] > top ? x[i] : top;
#pragma omp simd reduction(+ : total)
    for (idx i = 0; i < n; i++) total += x[i] = exp_negative(x[i] - top);
    total = 1.0f / total;
#pragma omp simd
    for (idx i = 0; i < n; i++) x[i] *= total;
}

/* The gradient of dropout(softmax(scores)) in place: g becomes the scores' gradient. */
ROW void softmax_grad_row(const float *weights, float *g, idx start, idx n, Dropout d) {
    float along = 0.0f;
#pragma omp simd reduction(+ : along)
    for (idx i = 0; i < n; i++) {
        g[i] = dropped(g[i], start + i, d);
        along += g[i] * weights[i];
    }
#pragma omp simd
    for (idx i = 0; i < n; i++) g[i] = weights[i] * (g[i] - along);
}

/* weights [batch, heads, length, length] receives the softmax before dropout, for backward. The additive mask is
 * NULL or rows of `length` numbers, found by the three strides (0 along a broadcast dimension). */
void attention(const float *qkv, const float *mask, idx mask_batch, idx mask_head, idx mask_query, float *weights,
               float *context, idx batch, idx length, idx heads, idx size, double p, uint64_t seed) {
    Dropout d = dropout_of(p, seed);
    idx width = heads * size, step = 3 * width;
    float scale = 1.0f / sqrtf((float)size);
#pragma omp parallel
    {
        float *kept = malloc(length * length * sizeof(float));
#pragma omp for schedule(static)
        for (idx task = 0; task < batch * heads; task++) {
            idx b = task / heads, h = task % heads, start = task * length * length;
            const float *q = qkv + b * length * step + h * 3 * size, *k = q + size, *v = k + size;
            float *w = weights + start;
            sgemm(ROW_MAJOR, NO_TRANS, TRANS, length, length, size, scale, q, step, k, step, 0.0f, w, length);
            for (idx i = 0; i < length; i++)
                softmax_row(w + i * length, mask ? mask + b * mask_batch + h * mask_head + i * mask_query : NULL, length);
            dropout_row(w, kept, start, length * length, d);
            sgemm(ROW_MAJOR, NO_TRANS, NO_TRANS, length, size, length, 1.0f, kept, length, v, step, 0.0f,
                  context + b * length * width + h * size, width);
        }
        free(kept);
    }
}

void attention_grad(const float *qkv, const float *weights, const float *dcontext, float *dqkv, idx batch, idx length,
                    idx heads, idx size, double p, uint64_t seed) {
    Dropout d = dropout_of(p, seed);
    idx width = heads * size, step = 3 * width;
    float scale = 1.0f / sqrtf((float)size);
#pragma omp parallel
    {
        float *s = malloc(length * length * sizeof(float));
#pragma omp for schedule(static)
        for (idx task = 0; task < batch * heads; task++) {
            idx b = task / heads, h = task % heads, start = task * length * length;
            idx head = b * length * step + h * 3 * size;
            const float *q = qkv + head, *k = q + size, *v = k + size, *w = weights + start;
            const float *dout = dcontext + b * length * width + h * size;
            float *dq = dqkv + head, *dk = dq + size, *dv = dk + size;
            dropout_row(w, s, start, length * length, d);
            sgemm(ROW_MAJOR, TRANS, NO_TRANS, length, size, length, 1.0f, s, length, dout, width, 0.0f, dv, step);
            sgemm(ROW_MAJOR, NO_TRANS, TRANS, length, length, size, 1.0f, dout, width, v, step, 0.0f, s, length);
            for (idx i = 0; i < length; i++)
                softmax_grad_row(w + i * length, s + i * length, start + i * length, length, d);
            sgemm(ROW_MAJOR, NO_TRANS, NO_TRANS, length, size, length, scale, s, length, k, step, 0.0f, dq, step);
            sgemm(ROW_MAJOR, TRANS, NO_TRANS, length, size, length, scale, s, length, q, step, 0.0f, dk, step);
        }
        free(s);
    }
}
