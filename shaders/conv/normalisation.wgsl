// Loads four channels of the Normalisation of conv/epilogue.wgsl from running statistics and parameters. These are vectors
// of N channels; FIRST_VECTOR is the binding of the first. Included as <normalisation>.
#include "norm/inverse_deviation.wgsl"

@group(0) @binding(FIRST_VECTOR) var<storage, read> gamma: array<vec4f>;
@group(0) @binding(FIRST_VECTOR + 1u) var<storage, read> beta: array<vec4f>;
@group(0) @binding(FIRST_VECTOR + 2u) var<storage, read> mean: array<vec4f>;
@group(0) @binding(FIRST_VECTOR + 3u) var<storage, read> spread: array<vec4f>;

fn load_normalisation(column4: u32) -> Normalisation {
  return Normalisation(mean[column4], gamma[column4] * inverse_deviation(column4), beta[column4]);
}
