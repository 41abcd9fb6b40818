import { describe, expect, it } from 'vitest';
import { ShaderError } from '../../src/errors.ts';
import { composeShader, f32, type ShaderRequest, type ShaderSource } from '../../src/gpu/composer.ts';

/** A shaders/ folder in memory. */
function folder(files: Record<string, string>): ShaderSource {
  return {
    async read(path) {
      if (!Object.hasOwn(files, path)) throw new Error(`ENOENT ${path}`);
      return files[path];
    },
  };
}

const compose = (files: Record<string, string>, request: Partial<ShaderRequest> = {}) =>
  composeShader(folder(files), { path: 'main.wgsl', ...request });

describe('include lines of shaders', () => {
  it('the composer puts a file in place of its include line', async () => {
    const { text } = await compose({ 'main.wgsl': 'a\n#include "common/x.wgsl"\nb', 'common/x.wgsl': 'x1\nx2' });
    expect(text).toBe('a\nx1\nx2\nb');
  });

  it('the composer includes a file once, however many files include it', async () => {
    const files = {
      'main.wgsl': '#include "p.wgsl"\n#include "q.wgsl"\n#include "shared.wgsl"\nmain',
      'p.wgsl': '#include "shared.wgsl"\np',
      'q.wgsl': '#include "shared.wgsl"\nq',
      'shared.wgsl': 'shared',
    };
    expect((await compose(files)).text).toBe('shared\np\nq\nmain');
  });

  it('the composer fills a slot with the file that the request chose', async () => {
    const files = {
      'main.wgsl': '  #include <fetch>  \nmain',
      'exact.wgsl': 'exact',
      'approximate.wgsl': 'approximate',
    };
    expect((await compose(files, { includes: { fetch: 'exact.wgsl' } })).text).toBe('exact\nmain');
    expect((await compose(files, { includes: { fetch: 'approximate.wgsl' } })).text).toBe('approximate\nmain');
  });

  it('the composer puts directives before the prelude and maps them to the lines where they were written', async () => {
    const files = { 'main.wgsl': 'a\n#include "x.wgsl"\nenabled();', 'x.wgsl': '// x\nenable subgroups;\nb' };
    const { text, origin } = await compose(files, { constants: { N: 3 } });
    expect(text.split('\n')).toEqual(['enable subgroups;', 'const N: u32 = 3u;', 'a', '// x', 'b', 'enabled();']);
    expect([1, 2, 5].map(origin)).toEqual(['shaders/x.wgsl:2', 'shaders/main.wgsl (prelude, N)', 'shaders/x.wgsl:3']);
  });

  it('a file that fills a slot counts as included', async () => {
    const files = { 'main.wgsl': '#include <tile>\n#include "tile.wgsl"', 'tile.wgsl': 'tile' };
    expect((await compose(files, { includes: { tile: 'tile.wgsl' } })).text).toBe('tile');
  });
});

describe('errors name file and line', () => {
  const failure = async (files: Record<string, string>, request: Partial<ShaderRequest> = {}) => {
    const error = await compose(files, request).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(ShaderError);
    return (error as ShaderError).message;
  };

  it('the error of an include cycle names the closing include and the whole cycle', async () => {
    const files = {
      'main.wgsl': 'a\n#include "p.wgsl"',
      'p.wgsl': 'p\np\n#include "q.wgsl"',
      'q.wgsl': '#include "p.wgsl"',
    };
    expect(await failure(files)).toBe('shaders/q.wgsl:1: include cycle: main.wgsl -> p.wgsl -> q.wgsl -> p.wgsl');
  });

  it('the error of a file that includes itself names its line', async () => {
    const message = await failure({ 'main.wgsl': '\n#include "main.wgsl"' });
    expect(message).toBe('shaders/main.wgsl:2: include cycle: main.wgsl -> main.wgsl');
  });

  it('the error of a slot without a chosen file names its line', async () => {
    expect(await failure({ 'main.wgsl': 'a\nb\n#include <fetch>' }, { includes: { tile: 'x.wgsl' } })).toBe(
      'shaders/main.wgsl:3: nothing was chosen for #include <fetch>',
    );
  });

  it.each(['#define N 3', '#include common/x.wgsl', '  #include "x.wgsl" // why', '#ifdef A'])(
    'the error of the unknown directive %s names its line',
    async (line) => {
      const message = await failure({ 'main.wgsl': `a\n${line}`, 'x.wgsl': '' });
      expect(message).toContain('shaders/main.wgsl:2: unknown directive');
      expect(message).toContain(line.trim());
    },
  );

  it('the error of a missing include names the including line', async () => {
    expect(await failure({ 'main.wgsl': '#include "p.wgsl"', 'p.wgsl': 'p\n#include "gone.wgsl"' })).toBe(
      'shaders/p.wgsl:2: cannot read shaders/gone.wgsl',
    );
  });

  it('the error of a missing main file keeps the cause', async () => {
    const error = await compose({}).catch((reason: unknown) => reason as ShaderError);
    expect(error).toMatchObject({ message: 'shaders/main.wgsl: cannot read shaders/main.wgsl' });
    expect((error as ShaderError).cause).toMatchObject({ message: 'ENOENT main.wgsl' });
  });
});

describe('constants in the prelude', () => {
  const line = async (value: Parameters<typeof f32>[0] | boolean | ReturnType<typeof f32>) =>
    (await compose({ 'main.wgsl': '' }, { constants: { N: value } })).text.trim();

  it('the prelude types whole numbers as u32 and truth values as bool', async () => {
    expect(await line(0)).toBe('const N: u32 = 0u;');
    expect(await line(0xffffffff)).toBe('const N: u32 = 4294967295u;');
    expect(await line(true)).toBe('const N: bool = true;');
    expect(await line(false)).toBe('const N: bool = false;');
  });

  it('the prelude writes an f32 so that parsing it gives the same bits', async () => {
    const values = [
      0,
      1,
      -1,
      3,
      0.1,
      1 / 3,
      -2.5,
      1e-8,
      1e20,
      1e21,
      -1e30,
      3.4028234663852886e38,
      2 ** -126,
      2 ** -149,
    ];
    for (const value of values) {
      const text = await line(f32(value));
      const literal = /^const N: f32 = (-?[\d.]+(?:e[+-]?\d+)?);$/.exec(text)?.[1];
      expect(literal, text).toBeDefined();
      // An abstract float or a decimal with point or exponent, never an integer literal.
      expect(literal).toMatch(/[.e]/);
      expect(Math.fround(Number(literal))).toBe(Math.fround(value));
    }
  });

  it.each([1.5, -1, 2 ** 32, Number.NaN, Number.POSITIVE_INFINITY])(
    'the prelude refuses the bare number %s',
    async (value) => {
      await expect(line(value)).rejects.toThrow(ShaderError);
      await expect(line(value)).rejects.toThrow(/constant N = .* is not a u32; wrap fractions in f32\(\)/);
    },
  );

  it.each([Number.NaN, Number.POSITIVE_INFINITY, -Infinity, 1e39])('the prelude refuses %s as an f32', (value) => {
    expect(() => f32(value)).toThrow(ShaderError);
  });
});

it('origin maps every line back to its file', async () => {
  const files = { 'main.wgsl': 'a\n#include "common/x.wgsl"\nb', 'common/x.wgsl': 'x1\nx2' };
  const { text, origin } = await compose(files, { constants: { N: 1, ON: true } });
  expect(text.split('\n')).toEqual(['const N: u32 = 1u;', 'const ON: bool = true;', 'a', 'x1', 'x2', 'b']);
  expect([1, 2, 3, 4, 5, 6].map(origin)).toEqual([
    'shaders/main.wgsl (prelude, N)',
    'shaders/main.wgsl (prelude, ON)',
    'shaders/main.wgsl:1',
    'shaders/common/x.wgsl:1',
    'shaders/common/x.wgsl:2',
    'shaders/main.wgsl:3',
  ]);
  // Dawn reports line 0 if it knows none.
  expect(origin(0)).toBe('shaders/main.wgsl');
  expect(origin(99)).toBe('shaders/main.wgsl');
});
