// A 32 x 16 block of C in the registers of a quad, 8 rows and 4 columns per invocation: for results of 16 columns, the loads of
// 16 x 32. Included as <tile>.
#include "gemm/quad_rows_32.wgsl"
#include "gemm/quad_columns_16.wgsl"
