import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import {
  addDefenceOptions,
  addRunOptions,
  addSweepOptions,
  addTestbedOptions,
} from '../../src/cli/experiment_options.ts';
import { explanations, meaningsOf } from '../../src/cli/explain.ts';
import { summaryCsv, toCsv } from '../../src/results/csv.ts';
import { GLOSSARY } from '../../src/results/glossary.ts';
import { METRIC_LABELS } from '../../src/results/labels.ts';
import { fakeResults } from '../results/fake.ts';

const program = new Command('midas');
addRunOptions(addDefenceOptions(addSweepOptions(addTestbedOptions(program.command('run'), undefined))));
const all = explanations(program);

describe('the explanations of midas explain', () => {
  const { rows, summary } = fakeResults();
  const everything = rows.map((row) => ({
    ...row,
    reloads: 1,
    membership: { auc: 0.5, tprAtOnePercent: null, members: [], nonMembers: [] },
  }));
  const columns = [toCsv(everything), summaryCsv(summary)].flatMap((csv) => csv.split('\r\n')[0].split(','));

  it.each([...new Set(columns)])('the column %s of a CSV file is explained', (column) => {
    const meanings = meaningsOf(column, all);
    expect(meanings.length).toBeGreaterThan(0);
    for (const { text } of meanings) expect(text).toMatch(/^[A-Z0-9-].{20,}\.$/s);
  });

  it('every option of run is explained by its help text', () => {
    const options = program.commands[0].options.filter(({ hidden }) => !hidden);
    expect(options.length).toBeGreaterThan(40);
    for (const { long, description } of options) {
      const [meaning, ...others] = meaningsOf(long!, all);
      expect(others).toEqual([]);
      expect(meaning.what).toBe('option of run');
      expect(meaning.text.slice(1, -1)).toBe(description.slice(1));
    }
  });

  it('every measure has a term under its name in tables and in files, which is preferred to the field of the file', () => {
    for (const [key, label] of Object.entries(METRIC_LABELS)) {
      expect(meaningsOf(label, all)[0].names).toContain(key);
      expect(meaningsOf(key, all).every(({ isField }) => !isField)).toBe(true);
    }
  });

  it('a name is found in any spelling, and an unknown one is not', () => {
    for (const name of ['mean face', 'Mean-Face', 'meanface'])
      expect(meaningsOf(name, all)[0].names[0]).toBe('mean face');
    expect(meaningsOf('lift', all).map(({ names }) => names[0])).toEqual([
      'PCC lift over wrong persons',
      'Lift without the mean face',
    ]);
    expect(meaningsOf('eden-em1', all)[0].what).toBe('memory');
    expect(meaningsOf('mi-face', all).map(({ what }) => what)).toEqual(['term', 'attack']);
    expect(meaningsOf('rat', all)).toEqual([]);
  });

  it('every term is explained in one to three sentences, under a name of its own', () => {
    for (const { term, text } of GLOSSARY) {
      // An abbreviation such as "2^-6 = 1.56" ends no sentence: a capital letter or a digit follows a blank.
      expect(text.match(/[.?](?= [A-Z0-9]|$)/g)!.length, `${term}: ${text}`).toBeLessThanOrEqual(3);
    }
    expect(new Set(GLOSSARY.map(({ term }) => term.toLowerCase())).size).toBe(GLOSSARY.length);
  });
});
