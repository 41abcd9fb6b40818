// x[i] = decode(encode(x[i]) XOR mask(i, read)): activations written to approximate memory and read back once, in place.
// x: IMAGES images of IMAGE_ELEMENTS f32 in rows of STRIDE with COLUMNS values; pads stay zero. Every image has a
// separate place of BLOCKS blocks of 16 codes, numbered from step.first_image, so that the split into batches does not
// matter. One invocation per block. Bindings: x, fault_table, step. Launched by recordStoreActivations
// (src/kernels/memory.ts).
// Reference: storeActivations in src/memory/activations.ts.
@group(0) @binding(0) var<storage, read_write> x: array<vec4u>;
@group(0) @binding(1) var<storage, read> fault_table: array<u32>;
@group(0) @binding(2) var<uniform> step: Step;

#include "struct/step"
#include "common/hash.wgsl"
#include "struct/fault_table"
#include "memory/read_key.wgsl"
#include <words>
#include <format>
#include <faults>

// Four values from element `element` of an image on; zeros beyond its last element.
fn load4(image: u32, element: u32) -> vec4u {
  if (element >= IMAGE_ELEMENTS) { return vec4u(); }
  return x[(image * IMAGE_ELEMENTS + element) / 4u];
}

fn store4(image: u32, element: u32, value: vec4f) {
  if (element >= IMAGE_ELEMENTS) { return; }
  let columns = (vec4u(element) + vec4u(0u, 1u, 2u, 3u)) % vec4u(STRIDE);
  x[(image * IMAGE_ELEMENTS + element) / 4u] = select(vec4u(), bitcast<vec4u>(value), columns < vec4u(COLUMNS));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= IMAGES * BLOCKS) { return; }
  let image = i / BLOCKS;
  let element = (i % BLOCKS) * 16u;
  let number = step.first_image + image;
  let format = open_format(MAP * FAULT_ENTRY_WORDS);
  let stored = pack_codes(
    encode4(format, load4(image, element), 0u),
    encode4(format, load4(image, element + 4u), 0u),
    encode4(format, load4(image, element + 8u), 0u),
    encode4(format, load4(image, element + 12u), 0u),
  );
  let faults = open_faults(MAP * FAULT_ENTRY_WORDS, ORIGIN, number);
  let returned = words_xor(stored, block_mask(faults, number * BLOCKS + i % BLOCKS, stored));
  store4(image, element, decode4(format, four_codes(returned, 0u), 0u));
  store4(image, element + 4u, decode4(format, four_codes(returned, 1u), 0u));
  store4(image, element + 8u, decode4(format, four_codes(returned, 2u), 0u));
  store4(image, element + 12u, decode4(format, four_codes(returned, 3u), 0u));
}
