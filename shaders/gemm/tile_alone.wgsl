// A tile of TILE_M x TILE_N (constants of the including file) that one invocation computes by itself.

// First row and column of the tile.
fn tile_origin(id: vec3u) -> vec2u { return vec2u(id.y * TILE_M, id.x * TILE_N); }

// First row of A and first column of B that this invocation loads.
fn panel_origin(id: vec3u) -> vec2u { return tile_origin(id); }
