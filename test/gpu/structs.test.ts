import { describe, expect, it } from 'vitest';
import { FAULT_ENTRY, FAULT_SOURCE, MI_FACE_STATE, STEP, STRUCTS, writeFields } from '../../src/gpu/structs.ts';

describe('the layout of a struct', () => {
  it('a layout has the same fields in WGSL and in TypeScript', () => {
    const fields = [...STRUCTS.step.matchAll(/^ {2}(\w+): (\w+),/gm)].map(([, name, type]) => [name, type]);
    expect(fields.slice(0, 5)).toEqual([
      ['pass_index', 'u32'],
      ['first_image', 'u32'],
      ['batch_offset', 'u32'],
      ['iteration', 'u32'],
      ['learning_rate', 'f32'],
    ]);
    const constants = new Map(
      [...STRUCTS.fault_table.matchAll(/^const (\w+): u32 = (\d+)u;/gm)].map(([, name, value]) => [
        name,
        Number(value),
      ]),
    );
    expect(constants.get('ENTRY_SPARSE_FAULTS')).toBe(FAULT_ENTRY.at.sparseFaults);
    expect(constants.get('ENTRY_SOURCES')).toBe(FAULT_ENTRY.words);
    expect(constants.get('SOURCE_WORDS')).toBe(FAULT_SOURCE.words);
    expect(constants.get('SOURCE_FAILURE')).toBe(FAULT_SOURCE.at.failure);
  });

  it('a layout places every vector as WGSL does, on a multiple of its size', () => {
    expect(STEP.at.chunk % 4).toBe(0);
    // A uniform's size is a multiple of 16 bytes.
    expect(STEP.words).toBe(16);
    expect(FAULT_ENTRY.at.device - FAULT_ENTRY.at.load).toBe(1);
  });

  it('a layout writes floats as floats and words as words, and leaves the other fields unchanged', () => {
    const words = new Uint32Array(2 * MI_FACE_STATE.words).fill(7);
    writeFields(MI_FACE_STATE, words, { best: 0.5, isActive: 0xffffffff }, MI_FACE_STATE.words);
    const floats = new Float32Array(words.buffer);
    expect(floats[MI_FACE_STATE.words + MI_FACE_STATE.at.best]).toBe(0.5);
    expect(words[MI_FACE_STATE.words + MI_FACE_STATE.at.isActive]).toBe(0xffffffff);
    expect(words[MI_FACE_STATE.words + MI_FACE_STATE.at.judged]).toBe(7);
    expect(words[MI_FACE_STATE.at.best]).toBe(7);
  });
});
