// The one uniform slot that changes from step to step; 16 words, written before each submit (src/gpu/recorder.ts).
// The including shader declares `@group(0) @binding(...) var<uniform> step: Step;`.
struct Step {
  pass_index: u32,     // forward or backward pass counter: the read index of approximate memory at granularity `pass`
  first_image: u32,    // index of the batch's first image in the data set: the image key of granularity `inference`
  batch_offset: u32,   // position of the batch in the shuffled order of the epoch
  iteration: u32,      // optimiser step (from 1) or attack iteration (from 0)
  learning_rate: f32,
  draw: u32,           // counter of further random draws of the step (input corruption, search directions)
  weight: f32,         // free scalar of the step
  pad: u32,
  extra0: vec4u,
  extra1: vec4u,
}
