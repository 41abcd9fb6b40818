// A 32 x 32 block of C in the registers of a quad, 8 rows and 8 columns per invocation: the fewest loads, and a loop of twice
// the code, which is the fastest tile on some processors and the slowest on others (bench/NOTES.md). Included as <tile>.
#include "gemm/quad_rows_32.wgsl"
#include "gemm/quad_columns_32.wgsl"
