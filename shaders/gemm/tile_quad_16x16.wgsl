// A 16 x 16 block of C in the registers of a quad, 4 columns per invocation.
// Included as <tile>. On SwiftShader, GEMM 512^3: twice as fast as tile_16x16.wgsl; the fastest with an instruction cache of 32 KB.
#include "gemm/quad_rows_16.wgsl"
#include "gemm/quad_columns_16.wgsl"
