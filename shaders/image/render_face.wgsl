// Renders photographs of synthetic people: one ray per pixel through a head defined by formulas.
//
//   pixel = round(255 sqrt(c / (0.8 + 0.28 c)) + sigma g),  c = exposure * radiance,  g nearly normal, from integers
//
// Head space: x to the right of the image, y up, z towards the camera at rest; the unit is half the breadth of an
// average head (7.6 cm), y = 0 the line of the eyes, z = 0 the plane of the ears. A level y of the skull is the ellipse
//
//   x^2 / w2(y) + (z - z0(y) - relief(x, y))^2 / d2(y) = 1,
//
// where the polynomial w2 is the outline of the face and relief a sum of smooth bumps (nose, sockets, lips, chin ...). A
// fixed-point iteration intersects the ray of the pixel (parallel projection) with it: w2, d2, z0 and relief are constant
// while the quadratic is solved. Hair is a second, larger shell that is only partly covered; ears are ellipsoids, glasses
// lie in a plane, and neck and clothes are painted behind the head. There is one key light (Lambert) and an ambient light,
// both multiplied by painted shading of hollows. Edges are one pixel wide and lines at least one, without supersampling.
//
// In:  faces [photographs of this dispatch], one Face each: src/data/render_faces.ts packs them
// Out: pixels [words]: four 8-bit pixels per word, the first in the low byte; image after image, row after row, without
//      padding, so that a word may span two rows or two images
// Step: batch_offset = pixel of the first image at which the first word starts; extra0 = width, height, words, images
// Launched by src/data/render_faces.ts in chunks of whole words; one invocation per word, in any number of workgroups.

#include "common/hash.wgsl"
#include "struct/step"

struct Face {
  ray_x: vec4f,        // rows of the camera-to-head matrix
  ray_y: vec4f,
  ray_z: vec4f,
  light: vec4f,        // direction towards the key light in head space; its strength
  light_body: vec4f,   // the same direction in camera space; ambient light
  frame: vec4f,        // units per pixel; X, Y of the image's centre; exposure
  skull: vec4f,        // y of the broadest level; 1 / height above it; 1 / height below it; z of the chin
  skull_size: vec4f,   // half breadth squared; half depth squared; y of the chin; half breadth
  jaw: vec4f,          // the outline below the broadest level: half breadth squared, three coefficients
  nose: vec4f,         // y of root, tip and base; half width
  nose_form: vec4f,    // projection; height of the bulb and of the wings; half width of the bridge
  form: vec4f,         // heights of socket (a depth), brow ridge, cheek, chin
  form_low: vec4f,     // height of the muzzle; y of the cheek; strength of folds and of bags under the eyes
  eye: vec4f,          // x, y, half width, upper opening
  eye_lid: vec4f,      // lower opening; openness 0..1; slant; height difference of the eyes
  iris: vec4f,         // gaze x, y; radius; albedo
  brow: vec4f,         // y, half length, half thickness, tilt
  brow_form: vec4f,    // arch, density, albedo; darkness of the lashes
  mouth: vec4f,        // y, half width; height of upper and lower lip
  mouth_form: vec4f,   // lift of the corners; gap; teeth; albedo of the lips relative to the skin
  skin: vec4f,         // albedo, shine, shade of a shaven beard, lines of the forehead
  beard: vec4f,        // density on the jaw and on the lip; albedo; unused
  hair: vec4f,         // half breadth and half depth of the shell; 1 / height above the broadest level; z
  hair_low: vec4f,     // y of the lower end; half breadth there; y of the sideburn's end; 1 for hair that hangs
  hair_edge: vec4f,    // jaggedness; softness; |x| of the side edge; cover
  hair_line: vec4f,    // y in the middle; recess; drop; tilt
  hair_look: vec4f,    // albedo, shine, strands per unit, curl
  hair_fan: vec4f,     // x and y from which the strands fan out; two phases of the curls
  ear: vec4f,          // x, y, half height, half width
  neck: vec4f,         // half width; Y of its base; 1 for an open collar; Y of the chin, in camera space
  cloth: vec4f,        // albedo; albedo of the collar; depth of the neckline; Y of the shoulders
  glasses: vec4f,      // opacity; x, half width, half height of a lens
  glasses_form: vec4f, // half thickness of the rim; radius of its corners; albedo; z
  backdrop: vec4f,     // radiance; its slopes in X and Y; unused
  grain: vec4f,        // sigma of the noise in levels; bits: key of the noise, key of the hair; unused
}

@group(0) @binding(0) var<storage, read> faces: array<Face>;
@group(0) @binding(1) var<storage, read_write> pixels: array<u32>;
@group(0) @binding(2) var<uniform> step: Step;

var<private> face: Face;
var<private> soft: f32;   // half the width of an antialiased edge, in units

// 0 for negative and 1 for positive distances, with a transition one pixel wide.
fn edge(distance: f32) -> f32 {
  return smoothstep(-soft, soft, distance);
}

// A bell curve of height 1, about one half at |x| = 1 and zero for |x| >= 2.
fn bell(x: f32) -> f32 {
  let k = max(0.0, 1.0 - 0.25 * x * x);
  return k * k;
}

// Coverage of a line of half width `width` at `distance` from it. A line thinner than a pixel is drawn wider but fainter.
fn stroke(distance: f32, width: f32) -> f32 {
  let wide = max(width, soft);
  return bell(distance / wide) * width / wide;
}

// Smooth noise on the integer lattice, with two channels in 0..1.
fn noise(at: vec2f) -> vec2f {
  let cell = floor(at);
  let f = at - cell;
  let s = f * f * (3.0 - 2.0 * f);
  let i = bitcast<vec2u>(vec2i(cell));
  let key = bitcast<u32>(face.grain.z);
  let a = vec2f(pcg4d(vec4u(i.x, i.y, key, 0u)).xy >> vec2u(8u));
  let b = vec2f(pcg4d(vec4u(i.x + 1u, i.y, key, 0u)).xy >> vec2u(8u));
  let c = vec2f(pcg4d(vec4u(i.x, i.y + 1u, key, 0u)).xy >> vec2u(8u));
  let d = vec2f(pcg4d(vec4u(i.x + 1u, i.y + 1u, key, 0u)).xy >> vec2u(8u));
  return mix(mix(a, b, s.x), mix(c, d, s.x), s.y) / 16777216.0;
}

// --- the skull and its features ---

// One level of the skull and its slopes in y.
struct Level {
  w2: f32, w2_y: f32,
  d2: f32, d2_y: f32,
  z: f32, z_y: f32,
}

fn level(y: f32) -> Level {
  var p: Level;
  let above = y - face.skull.x;
  if (above > 0.0) {
    let s = above * face.skull.y;
    let s2 = s * s;
    let f = 1.0 - s2 * (0.75 + 0.25 * s2);
    let f_y = -s * (1.5 + s2) * face.skull.y;
    p.w2 = face.skull_size.x * f;
    p.w2_y = face.skull_size.x * f_y;
    p.d2 = face.skull_size.y * f;
    p.d2_y = face.skull_size.y * f_y;
  } else {
    let t = min(-above * face.skull.z, 1.1);   // 0 at the broadest level, 1 at the chin
    let c = face.jaw;
    let outline = max(c.x * (1.0 + t) + t * t * (c.y + t * (c.z + t * c.w)), 0.6 * c.x);
    let outline_t = c.x + t * (2.0 * c.y + t * (3.0 * c.z + t * 4.0 * c.w));
    p.w2 = (1.0 - t) * outline;
    p.w2_y = -((1.0 - t) * outline_t - outline) * face.skull.z;
    let t3 = t * t * t;
    p.d2 = face.skull_size.y * (1.0 - t3 * t);
    p.d2_y = 4.0 * t3 * face.skull_size.y * face.skull.z;
    p.z = face.skull.w * t3 * t3;
    p.z_y = -6.0 * face.skull.w * t3 * t * t * face.skull.z;
  }
  return p;
}

// height (1 - u^2 - v^2)^3 and its slopes; ix and iy are the reciprocals of the radii.
fn bump(x: f32, y: f32, ix: f32, iy: f32, height: f32) -> vec3f {
  let u = x * ix;
  let v = y * iy;
  let k = max(0.0, 1.0 - u * u - v * v);
  let g = height * k * k;
  return vec3f(g * k, -6.0 * g * u * ix, -6.0 * g * v * iy);
}

// Height of the features above the skull along z, and its slopes in x and y.
fn relief(x: f32, y: f32) -> vec3f {
  if (y > 0.7) { return vec3f(0.0); }
  let a = abs(x);
  // Pairs: socket, eyeball, brow ridge, cheek, wing of the nose.
  let e = face.eye;
  var r = bump(a - e.x + 0.04, y - e.y - 0.03, 2.5, 4.4, -face.form.x);
  r += bump(a - e.x, y - e.y, 4.0, 5.2, 0.085);
  r += bump(a - e.x * 0.9, y - face.brow.x + 0.01, 1.9, 5.0, face.form.y);
  r += bump(a - 0.56, y - face.form_low.y, 2.2, 2.7, face.form.z);
  r += bump(a - face.nose.w * 0.72, y - face.nose.z - 0.075, 6.6, 8.0, face.nose_form.z);
  r.y = select(-r.y, r.y, x >= 0.0);
  let length = face.nose.x - face.nose.y;
  let t = (face.nose.x - y) / length;
  if (t <= 0.0) { return r; }
  // The nose: a ridge that rises from root to tip, rounded off below, with a bulb at the tip.
  let u = min(t, 1.0);
  var h = face.nose_form.x * u * u * (2.3 - 1.3 * u);
  var h_y = select(0.0, -face.nose_form.x * u * (4.6 - 3.9 * u) / length, t < 1.0);
  let drop = face.nose.y - face.nose.z + 0.12;
  let below = max(0.0, face.nose.y - y) / drop;
  let k = max(0.0, 1.0 - below * below);
  h_y = h_y * k * k + h * 2.4 * k * below / drop;   // 4 would be exact; 2.4 loses less light below the nose
  h *= k * k;
  let width = mix(face.nose_form.w, face.nose.w * 1.75, u * u) * (1.0 - 0.4 * min(below, 1.0));
  let v = x / width;
  let q = max(0.0, 1.0 - v * v);
  r += vec3f(h * q * q, -4.0 * h * q * v / width, h_y * q * q);
  r += bump(x, y - face.nose.y, 1.0 / (face.nose.w * 0.9), 6.0, face.nose_form.y);
  // Muzzle, lips, the furrow under them, chin.
  let m = face.mouth;
  let lip = 1.0 / (m.y * 1.15);
  r += bump(x, y - m.x - 0.02, 1.75, 2.4, face.form_low.x);
  r += bump(x, y - m.x - m.z * 0.5, lip, 0.75 / m.z, 0.3 * m.z);
  r += bump(x, y - m.x + m.w * 0.6 + face.mouth_form.y, lip * 1.15, 0.7 / m.w, 0.36 * m.w);
  r += bump(x, y - mix(m.x, face.skull_size.z, 0.46), 2.6, 7.0, -0.04);
  r += bump(x, y - face.skull_size.z - 0.2, 2.7, 4.0, face.form.w);
  return r;
}

struct Hit {
  cover: f32,   // of the pixel
  at: vec3f,
  normal: vec3f,
}

fn hit_head(o: vec3f, d: vec3f) -> Hit {
  var t = (0.95 - o.z) / d.z;
  var p: Level;
  var r: vec3f;
  var inside = 0.0;
  for (var i = 0; i < 4; i++) {
    let at = o + t * d;
    p = level(at.y);
    r = relief(at.x, at.y);
    let w2 = max(p.w2, 0.002);
    let d2 = max(p.d2, 0.002);
    let z = o.z - r.x - p.z;
    let qa = d.x * d.x / w2 + d.z * d.z / d2;
    let qb = o.x * d.x / w2 + z * d.z / d2;
    let disc = qb * qb - qa * (o.x * o.x / w2 + z * z / d2 - 1.0);
    t = (-qb - sqrt(max(disc, 0.0))) / qa;
    // w2 less the square of the ray's distance from the axis: falls by about 2 per unit at the outline.
    inside = p.w2 - (1.0 - disc / qa) * w2;
    p.w2 = w2;
    p.d2 = d2;
  }
  var hit: Hit;
  hit.cover = edge(0.5 * inside / face.skull_size.w);
  hit.at = o + t * d;
  let q = (hit.at.z - r.x - p.z) / p.d2;
  let u = hit.at.x / p.w2;
  hit.normal = normalize(vec3f(u - q * r.y, -0.5 * (u * u * p.w2_y + q * q * p.d2_y) - q * (r.z + p.z_y), q));
  return hit;
}

// --- hair ---

// Depth inside the hair for a point of its shell seen from the front; negative on the face.
fn hair_depth(x: f32, y: f32, jag: f32) -> f32 {
  let line = face.hair_line;
  let a = x / face.skull_size.w;
  let a2 = min(a * a, 1.0);
  let top = y - (line.x + a2 * (4.0 * line.y * (1.0 - a2) - line.z * a2) + line.w * a) + jag;
  let slant = mix(0.22 * max(0.0, 0.5 - y), 0.12 * max(0.0, -0.3 - y), face.hair_low.w);
  let side = abs(x) - face.hair_edge.z - slant + 0.35 * jag;
  return min(max(top, side), y - face.hair_low.x + 0.6 * jag);
}

struct Hair {
  cover: f32,      // of the pixel, in front of the face
  shell: f32,      // cover of the whole shell
  radiance: f32,
  behind: f32,     // radiance of the hair seen past the face
}

fn hit_hair(o: vec3f, d: vec3f) -> Hair {
  var hair: Hair;
  var t = (0.9 - o.z) / d.z;
  var w2 = 1.0;
  var d2 = 1.0;
  var w2_y = 0.0;
  var inside = 0.0;
  let curl = face.hair_look.w;
  let ratio = face.hair.y / face.hair.x;
  let broad2 = face.hair.x * face.hair.x;
  for (var i = 0; i < 3; i++) {
    let x = o.x + t * d.x;
    let y = o.y + t * d.y;
    var swell = 1.0;
    if (curl > 0.0) {
      swell += curl * 0.3 * (sin(6.1 * x + face.hair_fan.z + 2.0 * y) + sin(7.3 * y + face.hair_fan.w - 1.7 * x));
    }
    let above = y - face.skull.x;
    var w = 0.0;
    if (above > 0.0) {
      let s = above * face.hair.z;
      let s2 = s * s;
      w = broad2 * (swell - s2 * (0.75 + 0.25 * s2));
      w2_y = -broad2 * s * (1.5 + s2) * face.hair.z;
    } else {
      let u = min(-above / (face.skull.x - face.hair_low.x), 1.2);
      let across = mix(face.hair.x, face.hair_low.y, u * u);
      w = across * across * swell;
      w2_y = 0.0;
    }
    w2 = max(w, 0.002);
    d2 = w2 * ratio * ratio;
    let z = o.z - face.hair.w;
    let qa = d.x * d.x / w2 + d.z * d.z / d2;
    let qb = o.x * d.x / w2 + z * d.z / d2;
    let disc = qb * qb - qa * (o.x * o.x / w2 + z * z / d2 - 1.0);
    t = (-qb - sqrt(max(disc, 0.0))) / qa;
    inside = w - (1.0 - disc / qa) * w2;
  }
  let at = o + t * d;
  hair.shell = edge(0.5 * inside / face.hair.x) * edge(at.y - face.hair_low.x) * face.hair_edge.w;
  if (hair.shell <= 0.0) { return hair; }

  // Strands fan out from the crown; curls are the contour lines of a warped noise. Details finer than a pixel fade out.
  let down = face.hair_fan.y - at.y;
  let across = at.x - face.hair_fan.x;
  let strand = vec2f(across / max(down, 0.3) * face.hair_look.z, 2.0 * length(vec2f(across, down)));
  let curly = curl > 0.05;
  let lock = at.xy * 5.0 + 0.5 * sin(4.0 * at.yx + face.hair_fan.zw);
  let n0 = noise(select(strand, lock, curly)) - 0.5;
  let n1 = noise(select(strand * vec2f(2.7, 1.3), lock * 3.0, curly) + 9.0) - 0.5;
  let coarse = n0 * min(1.0, 0.028 / soft);
  let fine = select(n1, 0.36 * sin(18.0 * n0 + 5.0 * n1), curly) * min(1.0, 0.012 / soft);
  let jag = face.hair_edge.x * (coarse.x + 0.7 * n1.x * min(1.0, 0.012 / soft));

  var depth = hair_depth(at.x, at.y, jag);
  if (at.z < 0.0) { depth = max(depth, min(-2.0 * at.z, at.y - face.hair_low.x)); }
  let softness = max(face.hair_edge.y, 1.2 * soft);
  hair.cover = hair.shell * smoothstep(-softness, softness, depth);

  let z = at.z - face.hair.w;
  let u = at.x / w2;
  let n = normalize(vec3f(u, -0.5 * w2_y * (u * u + z * z / (d2 * w2)), z / d2)
    + vec3f(0.5 * coarse.y, 0.35 * coarse.x, 0.0));
  let l = face.light.xyz;
  let diffuse = max(0.0, 0.75 * dot(n, l) + 0.25);
  let nh = max(0.0, dot(n, normalize(l - d)));
  let nh4 = nh * nh * nh * nh;
  let gloss = nh4 * nh4 * nh4 * max(0.0, 0.65 + 0.7 * coarse.x + fine.y);
  let texture = 0.88 + 0.75 * coarse.x + 0.55 * fine.x;
  let shade = 0.5 + 0.5 * smoothstep(-0.03, 0.2, depth);
  hair.radiance = shade * (face.hair_look.x * texture * (1.1 * face.light_body.w + face.light.w * diffuse)
    + face.hair_look.y * gloss * face.light.w);
  hair.behind = hair.radiance * mix(0.25, 0.8, smoothstep(-0.5, 0.3, at.y));
  return hair;
}

// --- the face ---

// Properties of the surface at a point.
struct Surface {
  albedo: f32,
  shine: f32,
  open: f32,   // share of the light that reaches the point: folds, hollows, cast shadows
}

fn paint_lower_face(x: f32, y: f32, skin: Surface) -> Surface {
  var s = skin;
  let a = abs(x);
  let l = face.light.xyz;
  let m = face.mouth;
  let nose = face.nose;
  let u = x / m.y;
  let k = max(0.0, 1.0 - u * u);
  let line = m.x + face.mouth_form.x * min(u * u, 1.5) - 0.012 * bell(x * 16.0);

  // Beard and stubble: on the jaw up to a line from the sideburns, and on the upper lip.
  let beard_edge = min(m.x + 0.1 + 0.8 * a * a, face.eye.y - 0.34);
  let under_lip = max(0.0, m.x - 1.05 * m.w - y) * 6.0;
  let on_jaw = smoothstep(-0.13, 0.13, beard_edge - y) * smoothstep(-0.06, 0.06, a - m.y * 0.9 + under_lip);
  let lip_top = m.x + 0.7 * m.z;
  let strip = 0.5 * (nose.z - 0.02 - lip_top) + 0.02;
  let on_lip = smoothstep(1.25, 0.6, abs(y - lip_top - strip + 0.02 + 0.9 * a * a) / strip)
    * smoothstep(1.3, 0.85, a / m.y);
  let whisker = max(face.beard.x * on_jaw, face.beard.y * on_lip);
  if (whisker > 0.0) {
    let n = noise(vec2f(x * 30.0, y * 18.0));
    let rough = 0.05 / (0.07 + soft);
    s.albedo = mix(s.albedo, face.beard.z * (1.0 + (n.x - 0.5) * rough), whisker * (0.85 + 0.15 * n.y));
  }
  let shaven = max(on_jaw, on_lip) * face.skin.z;
  s.albedo *= 1.0 - shaven;
  s.shine *= 1.0 - max(whisker, 0.5 * shaven);

  // Folds from the nose to the corners of the mouth.
  let fold_top = nose.z + 0.08;
  let fold_t = clamp((fold_top - y) / (fold_top - m.x + 0.04), 0.0, 1.0);
  let fold_x = mix(nose.w * 1.1, m.y * 1.2 + 0.05, fold_t);
  s.open *= 1.0 - face.form_low.z * bell((a - fold_x) * 14.0) * fold_t * (1.0 - fold_t) * 4.0;

  // Nostrils; the shadow under the nose, and the one beside it away from the light.
  let wing = a - nose.w * 0.5;
  let nostril = length(vec2f(wing / (nose.w * 0.3), (y - nose.z - 0.02 + 0.15 * wing) / 0.032));
  s.open *= 1.0 - 0.65 * bell(nostril * 1.2);
  s.open *= 1.0 - (0.05 + 0.3 * max(0.0, l.y)) * bell((x + l.x * 0.12) / (0.8 * nose.w))
    * bell((y - nose.z + 0.06) / 0.045);
  s.open *= 1.0 - min(0.45, 0.8 * abs(l.x)) * bell((x * sign(l.x) + nose.w * 1.05) / 0.1)
    * bell((y - nose.z - 0.12) / 0.15);
  // Philtrum.
  s.open *= 1.0 - 0.1 * bell(a / 0.03) * bell((y - 0.5 * (nose.z + lip_top)) / 0.07);

  // Lips, the gap between them, and their shadows.
  let gap = face.mouth_form.y * k;
  let top = line + 0.4 * gap + m.z * k * (1.0 - 0.2 * bell(x * 15.0));
  let bottom = line - 0.6 * gap - m.w * sqrt(k) * (0.6 + 0.4 * k);
  let blur = max(soft, 0.02);
  let lips = smoothstep(-blur, blur, top - y) * smoothstep(-blur, blur, y - bottom) * smoothstep(0.0, 0.3, k);
  s.albedo = mix(s.albedo, face.skin.x * face.mouth_form.w * select(1.1, 0.88, y > line), lips);
  s.shine = mix(s.shine, 0.06, lips);
  let within = edge(line + 0.4 * gap - y) * edge(y - line + 0.6 * gap) * smoothstep(0.0, 0.1, k)
    * smoothstep(0.01, 0.05, gap);
  let teeth = face.mouth_form.z * edge(y - line + 0.25 * gap) * smoothstep(0.0, 0.3, k);
  s.albedo = mix(s.albedo, mix(0.02, 0.42, teeth), within);
  s.open *= 1.0 - 0.65 * stroke(y - line, 0.02) * smoothstep(1.2, 0.9, abs(u)) * (1.0 - within);
  s.open *= 1.0 - 0.22 * bell(x / (m.y * 0.7)) * bell((y - bottom + 0.05) / 0.05);
  s.open *= 1.0 - 0.28 * bell(length(vec2f(a - m.y * 1.02, y - line)) / 0.045);
  return s;
}

fn paint_upper_face(x: f32, y: f32, skin: Surface) -> Surface {
  var s = skin;
  let a = abs(x);
  let side = select(-1.0, 1.0, x >= 0.0);
  let e = face.eye;
  let lid = face.eye_lid;
  let ex = a - e.x;
  let ey = y - e.y - side * lid.w - lid.z * ex;
  let v = ex / e.z;
  let k = max(0.0, 1.0 - v * v);
  let low = -lid.x * k * (1.0 + 0.25 * v);
  let high_open = e.w * k * (1.0 - 0.18 * v) * (0.7 + 0.3 * k) + 0.008;
  let high = mix(low + 0.006, high_open, lid.y);

  // Hollows beside the nose and over the lid, bags, crease of the lid.
  s.open *= 1.0 - 0.25 * bell((ex + 0.2) / 0.11) * bell((ey - 0.04) / 0.11);
  s.open *= 1.0 - 0.16 * bell(ex / 0.22) * bell((ey - 0.1) / 0.07);
  s.open *= 1.0 - face.form_low.w * bell((ex + 0.03) / 0.17) * bell((ey + lid.x + 0.07) / 0.04);
  s.open *= 1.0 - 0.4 * stroke(ey - high_open - 0.05, 0.018) * smoothstep(0.0, 0.5, k + 0.1);

  // The eyeball: white, iris with a darker rim, pupil, a glint; shaded by the lid.
  let within = edge(high - ey) * edge(ey - low) * smoothstep(0.0, 0.1, k);
  if (within > 0.0) {
    let gaze = vec2f(x - side * e.x, ey) - face.iris.xy;
    let radius = length(gaze);
    let on_iris = edge(face.iris.z - radius);
    let dark = max(edge(face.iris.z * 0.45 - radius), 0.6 * smoothstep(0.65, 1.0, radius / face.iris.z));
    let ball = mix(0.275 + 0.275 * k, mix(face.iris.w, 0.012, dark), on_iris)
      * (0.5 + 0.5 * smoothstep(0.0, 0.08, high - ey));
    let glint = length(gaze - face.light.xy * 0.035 - vec2f(0.0, 0.015));
    s.albedo = mix(s.albedo, ball + 0.7 * stroke(glint, 0.014), within);
    s.shine = mix(s.shine, 0.0, within);
    s.open = mix(s.open, 0.9, 0.6 * within);
  }
  let lash = face.brow_form.w * stroke(ey - high, 0.016 + 0.01 * face.brow_form.w) * smoothstep(1.2, 0.9, abs(v));
  s.albedo *= (1.0 - lash) * (1.0 - 0.3 * stroke(ey - low, 0.014) * smoothstep(1.1, 0.7, abs(v)));
  s.shine *= 1.0 - lash;

  // Brows.
  let b = face.brow;
  let bx = (a - e.x - 0.03) / b.y;
  let by = y - b.x - side * lid.w - b.w * bx - face.brow_form.x * (1.0 - (bx - 0.25) * (bx - 0.25));
  let thick = b.z * (1.0 - 0.55 * smoothstep(0.0, 1.1, bx)) * (0.7 + 0.3 * smoothstep(-1.0, -0.5, bx));
  let on_brow = smoothstep(1.25, 0.5, abs(by) / max(thick, 0.8 * soft)) * smoothstep(1.15, 0.7, abs(bx));
  s.albedo = mix(s.albedo, face.brow_form.z, on_brow * face.brow_form.y);
  s.shine *= 1.0 - on_brow;

  // Lines of the forehead.
  let lines = stroke(y - 0.55 - 0.1 * x * x, 0.025) + stroke(y - 0.72 - 0.1 * x * x, 0.025);
  s.open *= 1.0 - face.skin.w * lines * smoothstep(0.6, 0.2, a);
  return s;
}

fn shade_head(hit: Hit, d: vec3f) -> f32 {
  let x = hit.at.x;
  let y = hit.at.y;
  let l = face.light.xyz;
  var s = Surface(face.skin.x, face.skin.y, 1.0);
  if (y < face.eye.y - 0.2) {
    s = paint_lower_face(x, y, s);
  } else {
    s = paint_upper_face(x, y, s);
  }
  // Sideburns, and the shadow the hair casts on forehead and temples.
  let burn = smoothstep(-0.06, 0.06, abs(x) - 0.9 * face.skull_size.w)
    * smoothstep(face.hair_low.z - 0.2, face.hair_low.z + 0.25, y) * face.hair_edge.w;
  s.albedo = mix(s.albedo, face.hair_look.x, 0.7 * burn);
  let under = hair_depth(x - l.x * 0.06, y + 0.04 + 0.08 * l.y, 0.0);
  s.open *= 1.0 - 0.4 * smoothstep(-0.2, 0.02, under) * face.hair_edge.w;

  let n = hit.normal;
  let diffuse = max(0.0, 0.78 * dot(n, l) + 0.22);
  let nh = max(0.0, dot(n, normalize(l - d)));
  let nh2 = nh * nh;
  let nh8 = nh2 * nh2 * nh2 * nh2;
  let facing = max(0.0, -dot(n, d));
  let ambient = face.light_body.w * (0.9 + 0.1 * n.y) * (0.5 + 0.5 * facing);
  let key = face.light.w * diffuse * (0.8 + 0.2 * facing);
  return s.open * (s.albedo * (ambient + key) + s.shine * nh8 * nh8 * face.light.w);
}

// --- ears, neck, clothes, glasses ---

// x: radiance, y: cover of the pixel.
fn shade_ear(o: vec3f, d: vec3f) -> vec2f {
  let side = select(-1.0, 1.0, o.x - (o.z + 0.08) * d.x / d.z > 0.0);
  let r = vec3f(face.ear.w, face.ear.z, 0.16);
  let c = vec3f(side * face.ear.x, face.ear.y, -0.08);
  let lean = 0.2 * side;   // the top stands further out
  let oo = vec3f(o.x - c.x - lean * (o.y - c.y), o.y - c.y, o.z - c.z) / r;
  let dd = vec3f(d.x - lean * d.y, d.y, d.z) / r;
  let qa = dot(dd, dd);
  let qb = dot(oo, dd) / qa;
  let disc = qb * qb - (dot(oo, oo) - 1.0) / qa;
  let cover = edge(0.5 * disc * qa * face.ear.w) * (1.0 - face.hair_low.w);
  if (cover <= 0.0) { return vec2f(0.0); }
  let q = oo + (-qb - sqrt(max(disc, 0.0))) * dd;
  let n = normalize(q / r + vec3f(side * 1.5, 0.0, 0.0));
  let inner = bell(length(vec2f(q.x * side, q.y - 0.05) * vec2f(1.7, 1.4)));
  let diffuse = max(0.0, 0.8 * dot(n, face.light.xyz) + 0.2);
  let light = 0.75 * face.light_body.w + face.light.w * diffuse;
  return vec2f(0.95 * face.skin.x * (1.0 - 0.5 * inner) * light, cover);
}

// x: radiance, y: cover of the pixel; in camera space, because the body does not turn with the head.
fn shade_body(x: f32, y: f32) -> vec2f {
  let l = face.light_body.xyz;
  let ambient = face.light_body.w;
  let key = face.light.w;
  let a = abs(x);
  let base = face.neck.y;
  let flare = max(0.0, base + 0.3 - y);
  let radius = face.neck.x + 0.9 * flare * flare;
  let nx = clamp(x / radius, -0.98, 0.98);
  let n = vec3f(nx, 0.0, sqrt(1.0 - nx * nx));
  let lit = smoothstep(-0.05, 0.7, face.neck.w - y + 0.35 * x * l.x);   // below the shadow of the jaw
  let cords = 1.0 - 0.12 * bell((a - 0.3 - 0.25 * (y - base)) / 0.09);
  let diffuse = max(0.0, 0.8 * dot(n, l) + 0.2);
  let light = ambient * (0.35 + 0.4 * lit) + key * diffuse * (0.1 + 0.65 * lit);
  var radiance = 0.95 * face.skin.x * cords * light * (0.5 + 0.5 * n.z);
  var cover = edge(radius - a);

  let shoulder = face.cloth.w - 0.12 * a * a - 0.08 * a - y;
  let open_collar = face.neck.z > 0.5;
  let rim = base - face.cloth.z + select((0.5 + face.cloth.z) * a * a, 1.1 * a, open_collar) - y;
  let on = edge(min(shoulder, rim));
  if (on > 0.0) {
    let m = normalize(vec3f(0.35 * x, 0.45, 0.8));
    let band = select(0.1, 0.2 + 0.15 * a, open_collar);
    let near = select(0.0, 1.0, a < 1.0);
    let folds = 0.9 + 0.12 * sin(5.0 * x + 3.0 * y + 9.0 * x * y);
    let tone = mix(face.cloth.x * folds, face.cloth.y, edge(band - rim) * near)
      * (1.0 - 0.35 * stroke(rim - band, 0.03) * near);
    radiance = mix(radiance, tone * (ambient + key * max(0.0, 0.8 * dot(m, l) + 0.2)), on);
    cover = max(cover, on);
  }
  return vec2f(radiance, cover);
}

fn wear_glasses(under: f32, o: vec3f, d: vec3f, head: Hit) -> f32 {
  let g = face.glasses;
  let f = face.glasses_form;
  let at = o + d * ((f.w - o.z) / d.z);
  let a = abs(at.x);
  let y = at.y - face.eye.y + 0.05;
  let q = abs(vec2f(a - g.y, y)) - g.zw + f.y;
  let distance = length(max(q, vec2f(0.0))) + min(max(q.x, q.y), 0.0) - f.y;
  // Distances to rim, bridge and arm; 1 (far) where there is none.
  let bridge = select(1.0, abs(y - 0.08 + 0.5 * a * a), a < g.y - g.z);
  let arm = select(1.0, abs(head.at.y - face.eye.y - 0.05), abs(head.at.x) > g.y + g.z && head.cover * head.at.z > 0.0);
  let wide = max(f.x, soft);
  let frame = g.x * edge(wide - min(abs(distance), min(bridge, arm))) * f.x / wide;
  let glass = edge(-distance);
  let glare = 0.06 * bell((at.x - at.y - 0.6 * face.light.x) / 0.2);
  let seen = under * (1.0 - 0.08 * glass) + glass * glare * face.light.w;
  return mix(seen, f.z * (face.light_body.w + 0.6 * face.light.w), frame);
}

// The light that the camera receives at (x, y) of the image plane, in units from the middle of the head at rest.
fn radiance_at(x: f32, y: f32) -> f32 {
  let o = vec3f(
    face.ray_x.x * x + face.ray_x.y * y + face.ray_x.w,
    face.ray_y.x * x + face.ray_y.y * y + face.ray_y.w,
    face.ray_z.x * x + face.ray_z.y * y + face.ray_z.w);
  let d = -vec3f(face.ray_x.z, face.ray_y.z, face.ray_z.z);

  let hair = hit_hair(o, d);
  if (hair.cover > 0.995) { return hair.radiance; }
  var radiance = face.backdrop.x * (1.0 + face.backdrop.y * x + face.backdrop.z * y);
  let head = hit_head(o, d);
  if (head.cover < 0.995) {
    radiance = mix(radiance, hair.behind, hair.shell);
    if (y < -0.7) {
      let body = shade_body(x, y);
      radiance = mix(radiance, body.x, body.y);
    }
    let ear = shade_ear(o, d);
    radiance = mix(radiance, ear.x, ear.y);
  }
  if (head.cover > 0.0) { radiance = mix(radiance, shade_head(head, d), head.cover); }
  if (face.glasses.x > 0.0) { radiance = wear_glasses(radiance, o, d, head); }
  return mix(radiance, hair.radiance, hair.cover);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let width = step.chunk.x;
  let height = step.chunk.y;
  // Four neighbouring invocations compute words that lie below one another: they meet similar features and rarely diverge.
  let row = max(width / 4u, 1u);
  let block = id.x / (4u * row);
  let rest = id.x % (4u * row);
  let target_word = (4u * block + rest % 4u) * row + rest / 4u;
  if (target_word >= step.chunk.z) { return; }
  var word = 0u;
  for (var i = 0u; i < 4u; i++) {
    let pixel = step.batch_offset + 4u * target_word + i;
    let image = pixel / (width * height);
    if (image < step.chunk.w) {
      face = faces[image];
      let unit = face.frame.x;
      soft = 0.6 * unit;
      let index = pixel % (width * height);
      let x = f32(index % width) + 0.5 - 0.5 * f32(width);
      let y = f32(index / width) + 0.5 - 0.5 * f32(height);
      let c = max(0.0, face.frame.w * radiance_at(face.frame.y + x * unit, face.frame.z - y * unit));
      let random = pcg4d(vec4u(index, bitcast<u32>(face.grain.y), 0u, 0u)) >> vec4u(8u);
      let g = (f32(random.x + random.y + random.z + random.w) / 16777216.0 - 2.0) * 1.7320508;
      let tone = 255.0 * sqrt(c / (0.8 + 0.28 * c)) + face.grain.x * g;
      word |= u32(clamp(tone + 0.5, 0.0, 255.0)) << (8u * i);
    }
  }
  pixels[target_word] = word;
}
