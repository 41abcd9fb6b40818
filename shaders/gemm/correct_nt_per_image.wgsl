// The forward product at granularity `inference`, second half: C[m, n] = act(C[m, n] + sum_k (fetch_m(W) - W)[n, k] A[m, k]
// + fetch_m(bias)[n]), where C holds the product with the error-free weights, which are the same for all images.
// The sum runs over the codes of row n that image m reads wrong, which memory/sparse_faults.wgsl finds, so that the cost
// is proportional to the number of flips.
// A is M x K f32, W is N x K codes, C is M x N f32. One invocation computes one element. The number of an image in
// the keys is step.first_image + m, so results do not depend on how images are split into batches.
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
#include "common/activation.wgsl"

// The change of the sum by a fault in code k of a row of W.
fn change(format: Format, row_word: u32, column: u32, row: u32, k: u32, mask: u32, faulty: bool) -> f32 {
  let weight = fault_change(format, code_at(row_word, k), mask, column);
  return select(0.0, weight * a[row * STRIDE_A + k], faulty && k < K);
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let column = id.x;
  let row = id.y;
  if (row >= M || column >= N) { return; }
  let image = step.first_image + row;
  let faults = begin_sparse_faults(WEIGHT_MAP, image);
  let format = open_format(WEIGHT_MAP * FAULT_ENTRY_WORDS);
  let row_word = (WEIGHT_ORIGIN * 16u + column * STRIDE_B) * STORAGE_BITS / 32u;
  var sum = 0.0;
  let first = column * STRETCHES;
  var walk = Walk();
  var waiting = Waiting();
  while (walk.at < STRETCHES) {
    while (walk.at < STRETCHES && waiting.count < MOST_WAITING) {
      let turn = walk_turn(faults, first + walk.at, walk);
      let k = vec4u(walk.at * STRETCH) + turn.codes;
      sum += change(format, row_word, column, row, k.x, turn.masks.x, turn.faulty.x)
        + change(format, row_word, column, row, k.y, turn.masks.y, turn.faulty.y)
        + change(format, row_word, column, row, k.z, turn.masks.z, turn.faulty.z)
        + change(format, row_word, column, row, k.w, turn.masks.w, turn.faulty.w);
      waiting = wait(waiting, walk, turn.rare);
      walk = turn.next;
    }
    while (waiting.count > 0u) {
      let rare = rare_fault(faults, first, waiting);
      sum += change(format, row_word, column, row, rare.at * STRETCH + rare.code, rare.mask, true);
      waiting = next_waiting(waiting);
    }
  }
  let at = row * STRIDE_C + column;
  var value = c[at] + sum;
  if (BIAS) { value += fetch_block(begin_read(BIAS_MAP, BIAS_ORIGIN, image), column / 16u, 0u)[(column / 4u) % 4u][column % 4u]; }
  c[at] = activate(vec4f(value)).x;
}
