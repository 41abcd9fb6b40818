// What the rows of all tiles that quads compute share. Included by conv/rows_quad_<M>.wgsl.
#include "conv/pixels.wgsl"

// True if the condition holds in all four invocations of the quad.
fn all_of_quad(condition: bool) -> bool {
  var others = select(1u, 0u, condition);
  others |= quadSwapX(others);
  others |= quadSwapY(others);
  return others == 0u;
}
