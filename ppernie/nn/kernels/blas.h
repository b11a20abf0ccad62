/* The matrix product of the BLAS that Paddle itself loaded. */
#ifndef PPERNIE_BLAS_H
#define PPERNIE_BLAS_H

typedef void (*Sgemm)(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a, int lda,
                      const float *b, int ldb, float beta, float *c, int ldc);
enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 };
extern Sgemm sgemm __attribute__((visibility("hidden")));

#endif
