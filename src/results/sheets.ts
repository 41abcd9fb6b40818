/** The pictures of a run: true faces, and their reconstructions under the conditions that decide its verdict, and under all selected ones. */
import { calibratedTo, conditionKey, equalRate, isUndefended } from './condition.ts';
import { levelled, reconstructionSheet, type SheetRow } from './figures/sheet.ts';
import type { EncodePng } from './figures/style.ts';
import { formatNumber } from './format.ts';
import { attackedTitle, conditionLabel } from './labels.ts';
import type { Presentation } from './presentation.ts';
import type { Condition, Results, SummaryEntry } from './schema.ts';
import { accuracyText, recognisedText, type Verdict } from './verdict.ts';

/** Largest number of columns (people or photographs), and of memories. */
const COLUMNS = 10;
const MEMORIES = 6;

/** A defence is useful if it keeps at least this share of the undefended accuracy. */
const USEFUL = 0.9;

/** The pictures of a run: reconstructions by condition and attack, true faces by file, and the mean face. */
export interface SheetPictures {
  reconstructions(condition: Condition, attack: string): readonly Float32Array[] | undefined;
  truth(file: string): readonly Float32Array[];
  readonly meanFace: Float32Array;
}

/** The faces that decide a verdict: the truth, the undefended model, and at most three settings. */
export interface DecidingFaces {
  /** Names of the persons, one per column. */
  readonly columns: readonly string[];
  readonly rows: readonly SheetRow[];
  /** Name of the attack. */
  readonly attack: string;
}

/** Largest number of settings among the deciding faces. */
const DECIDING = 3;

/**
 * The faces that decide the verdict of a run: after the truth and the undefended model the setting that the verdict names, then the others.
 * Of four settings the mildest is left out, whose pictures are those of the undefended model, or the next, if the verdict names the
 * mildest. Undefined if there is no table, or if its attack makes no pictures.
 */
export function decidingFaces(
  { table }: Verdict,
  presentation: Presentation,
  pictures: SheetPictures,
): DecidingFaces | undefined {
  const attack = presentation.attacks.find(({ name }) => name === table?.attack);
  if (!table || attack?.truth === undefined) return undefined;
  const columns = attack.shown.slice(0, COLUMNS);
  const [base, ...settings] = table.rows;
  const leftOut = settings.length > DECIDING ? settings[settings[0] === table.decisive ? 1 : 0] : undefined;
  const { decisive } = table;
  const others = settings.filter((row) => row !== leftOut && row !== decisive);
  const rows = [base, ...(decisive ? [decisive] : []), ...others].flatMap((row) => {
    const images = pictures.reconstructions(row.condition, attack.name);
    if (!images) return [];
    const detail = `the attacker’s pictures, ${recognisedText(row, table)} recognised; accuracy ${accuracyText(row)}`;
    return [{ label: conditionLabel(row.condition), detail, images: shownImages(images, attack, pictures) }];
  });
  const truth = { label: 'photographs', detail: truthDetail(attack), images: [...pictures.truth(attack.truth)] };
  const cut = ({ images, ...row }: SheetRow) => ({ ...row, images: images.slice(0, columns.length) });
  return { columns, rows: [truth, ...rows].map(cut), attack: attack.name };
}

/** The note below deciding faces and sheets. */
export function picturesNote(photographs: boolean): string {
  return (
    'First draw of each condition; numbers are means over all draws and people. Whom a picture shows is said by the evaluator, a network, not by eye.' +
    (photographs
      ? ''
      : ' Brightness and contrast of every reconstruction are set to those of the mean face, which changes no PCC.')
  );
}

/**
 * Draws the sheets of a run: `recon` has the faces that decide the verdict, in at most five rows (where there is no table, the first rows
 * of all); `recon-all`, and for further kinds of attacks `recon-all-<kind>`, have all that are selected.
 * @param options.layers set of layers whose bit errors and noise are shown on the sheets of all; default: all sets
 */
export function contactSheets(
  { results, verdict, presentation, pictures }: SheetInput,
  options: { readonly layers?: string; readonly encodePng: EncodePng },
): { readonly name: string; readonly svg: string }[] {
  const attacks = presentation.attacks.flatMap((attack) => (attack.truth ? [{ ...attack, truth: attack.truth }] : []));
  const { width, height, channels } = presentation;
  const sheet = (name: string, own: typeof attacks, columns: readonly string[], rows: readonly SheetRow[]) => ({
    name,
    svg: reconstructionSheet({
      columns: [...columns],
      rows: [...rows],
      ...{ width, height, channels },
      title: attackedTitle({ ...results.manifest, attacks: own }),
      footnote: `${results.manifest.dataset.name}. ${picturesNote(own[0].photographs)}`,
      encodePng: options.encodePng,
    }),
  });
  const kinds = [...new Set(attacks.map(({ kind }) => kind))];
  const all = kinds.map((kind) => {
    const own = attacks.filter((attack) => attack.kind === kind);
    const columns = own[0].shown.slice(0, COLUMNS);
    return { kind, own, columns, rows: sheetRows(results, own, pictures, columns.length, options.layers) };
  });
  if (all.length === 0) return [];
  const [first] = all;
  const deciding = decidingFaces(verdict, presentation, pictures);
  return [
    deciding
      ? sheet(
          'recon',
          attacks.filter(({ name }) => name === deciding.attack),
          deciding.columns,
          deciding.rows,
        )
      : sheet('recon', first.own, first.columns, first.rows.slice(0, DECIDING + 2)),
    ...all.map(({ kind, own, columns, rows }, i) =>
      sheet(i === 0 ? 'recon-all' : `recon-all-${kind}`, own, columns, rows),
    ),
  ];
}

export interface SheetInput {
  readonly results: Results;
  readonly verdict: Verdict;
  readonly presentation: Presentation;
  readonly pictures: SheetPictures;
}

type PresentedAttack = Presentation['attacks'][number];

function truthDetail({ photographs, split }: PresentedAttack): string {
  return photographs ? `${split} ones` : 'from the training';
}

/** Reconstructions of persons in the brightness and contrast of the mean face; those of photographs are unchanged. */
function shownImages(
  images: readonly Float32Array[],
  { photographs }: PresentedAttack,
  { meanFace }: SheetPictures,
): Float32Array[] {
  return images.map((image) => (photographs ? image : levelled(image, meanFace)));
}

function sheetRows(
  { summary }: Results,
  attacks: readonly (PresentedAttack & { readonly truth: string })[],
  pictures: SheetPictures,
  columns: number,
  layers: string | undefined,
): SheetRow[] {
  const rows: SheetRow[] = [];
  const truths = new Set<string>();
  for (const attack of attacks) {
    const { name, title, photographs, truth } = attack;
    // Only the first attack on each set of photographs is shown, because the others reconstruct the same faces.
    if (photographs && truths.has(truth)) continue;
    if (!truths.has(truth)) {
      truths.add(truth);
      rows.push({ label: 'photographs', detail: truthDetail(attack), images: pictures.truth(truth).slice(0, columns) });
    }
    const entries = summary.filter((entry) => entry.attack === name);
    for (const { condition, accuracy, pcc, pccLift, liftMeanFree } of chosen(entries, layers)) {
      const images = pictures.reconstructions(condition, name);
      if (!images) continue;
      rows.push({
        label: conditionLabel(condition),
        detail:
          `${title}\naccuracy ${accuracy.mean.toFixed(2)}, ` +
          `PCC ${formatNumber(pcc.mean, 2)}, lift ${formatNumber(liftMeanFree.mean ?? pccLift.mean, 2)}`,
        images: shownImages(images.slice(0, columns), attack, pictures),
      });
    }
  }
  return rows;
}

/**
 * Selects the undefended model, changed confidences without errors, memories, the strongest bit errors, the strongest that
 * still leave a useful model, and the noise that was calibrated to either.
 */
function chosen(entries: readonly SummaryEntry[], layers: string | undefined): SummaryEntry[] {
  const base = entries.find(({ condition }) => isUndefended(condition));
  const bits = entries.filter(
    ({ condition }) =>
      condition.kind === 'bit-error' &&
      (layers === undefined || condition.layers === layers) &&
      equalRate(condition) !== undefined,
  );
  bits.sort((a, b) => a.accuracy.mean - b.accuracy.mean);
  const useful = bits.find(({ accuracy }) => base && accuracy.mean >= USEFUL * base.accuracy.mean);
  const keys = new Set([bits[0], useful].flatMap((entry) => (entry ? [conditionKey(entry.condition)] : [])));
  const memories = entries.filter(({ condition }) => condition.kind === 'memory').slice(0, MEMORIES);
  return entries.filter((entry) => {
    const { condition } = entry;
    const noise = calibratedTo(condition);
    return (
      entry === base ||
      memories.includes(entry) ||
      (condition.kind === 'none' && condition.release !== undefined) ||
      keys.has(conditionKey(condition)) ||
      (noise !== undefined && keys.has(noise) && (layers === undefined || condition.layers === layers))
    );
  });
}
