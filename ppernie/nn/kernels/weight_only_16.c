#define LANES 16
#define REPEAT_4 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3
#define REPEAT_8 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7
#include "weight_only_rows.h"

#ifdef CLONES
__attribute__((target("arch=x86-64-v4")))
#endif
void multiply_by_16(Matrix m, idx output, const float *x, float *y, idx rows) { multiply(m, output, x, y, rows); }
