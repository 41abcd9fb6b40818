// The input gradient at granularity `inference`, second half: C[m, k] += sum_n A[m, n] (fetch_m(W) - W)[n, k], where C
// holds the product with the error-free weights, which are the same for all images. The codes of W that image m
// reads wrong are found by memory/sparse_faults.wgsl. A is M x N f32, W is N x K codes, C is M x K f32. One invocation
// computes a stretch of 512 elements of a row of C and runs over the rows of W. Here K is the number of columns of W and N
// the number of its rows.
// Bindings: a, codes, codes again as words, fault_table, c, step. Launched by recordPerImageGemm (src/kernels/gemm.ts).
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> codes: array<Words>;
@group(0) @binding(2) var<storage, read> code_words: array<u32>;
@group(0) @binding(3) var<storage, read> fault_table: array<u32>;
@group(0) @binding(4) var<storage, read_write> c: array<f32>;
@group(0) @binding(5) var<uniform> step: Step;

#include "struct/step"
#include "common/fetch_approximate.wgsl"
#include "memory/sparse_faults.wgsl"

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.y;
  if (row >= M || id.x >= STRETCHES) { return; }
  let faults = begin_sparse_faults(WEIGHT_MAP, step.first_image + row);
  let format = open_format(WEIGHT_MAP * FAULT_ENTRY_WORDS);
  for (var n = 0u; n < N; n++) {
    let first = n * STRETCHES + id.x;
    let row_word = (WEIGHT_ORIGIN * 16u + n * STRIDE_B) * STORAGE_BITS / 32u;
    let gradient = a[row * STRIDE_A + n];
    var walk = Walk();
    var waiting = Waiting();
    while (walk.at < 1u) {
      while (walk.at < 1u && waiting.count < MOST_WAITING) {
        let turn = walk_turn(faults, first, walk);
        let k = vec4u(id.x * STRETCH) + turn.codes;
        change(format, row_word, n, row, k.x, turn.masks.x, turn.faulty.x, gradient);
        change(format, row_word, n, row, k.y, turn.masks.y, turn.faulty.y, gradient);
        change(format, row_word, n, row, k.z, turn.masks.z, turn.faulty.z, gradient);
        change(format, row_word, n, row, k.w, turn.masks.w, turn.faulty.w, gradient);
        waiting = wait(waiting, walk, turn.rare);
        walk = turn.next;
      }
      while (waiting.count > 0u) {
        let rare = rare_fault(faults, first, waiting);
        change(format, row_word, n, row, id.x * STRETCH + rare.code, rare.mask, true, gradient);
        waiting = next_waiting(waiting);
      }
    }
  }
}

// Adds the change by a fault in code k of row n of W.
fn change(format: Format, row_word: u32, n: u32, row: u32, k: u32, mask: u32, faulty: bool, gradient: f32) {
  if (faulty && k < K) { c[row * STRIDE_C + k] += fault_change(format, code_at(row_word, k), mask, n) * gradient; }
}
