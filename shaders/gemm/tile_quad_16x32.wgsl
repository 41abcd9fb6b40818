// A 16 x 32 block of C in the registers of a quad, 8 columns per invocation.
// Included as <tile>. The fastest on SwiftShader with an instruction cache of 64 KB (bench/NOTES.md).
#include "gemm/quad_rows_16.wgsl"
#include "gemm/quad_columns_32.wgsl"
