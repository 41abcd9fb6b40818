/** A store that reports the rows of a sweep as they are measured, and a gate that pauses between them. */
import { InMemoryRunStore, refuseAborted } from '../experiments/store.ts';
import { groupedBy } from '../results/groups.ts';
import { conditionKey, type Row, type SummaryEntry, summarise } from '../results/results.ts';

/** A gate that jobs pass between two units of work; while it is closed, they wait. */
export class Gate {
  #opened: Promise<void> = Promise.resolve();
  #open: (() => void) | undefined;

  close(): void {
    if (this.#open) return;
    this.#opened = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  open(): void {
    this.#open?.();
    this.#open = undefined;
  }

  /** @throws InterruptedError if the job was stopped, even while it waits here */
  async pass(signal: AbortSignal): Promise<void> {
    await this.#opened;
    refuseAborted(signal);
  }
}

/** A store that calls `onRow` after every appended row, before the next one is measured. */
export class LiveStore extends InMemoryRunStore {
  onRow: (row: Row) => unknown = () => {};
  readonly #summaries = new Map<string, { readonly rows: number; readonly entries: SummaryEntry[] }>();

  override async appendRow(row: Row): Promise<void> {
    await super.appendRow(row);
    await this.onRow(row);
  }

  /** Adds a row unless its draw is there already. */
  add(row: Row): void {
    if (!this.has(row.condition, row.draw, row.attack)) this.rows.push(row);
  }

  /** @param attack any by default */
  has(condition: Row['condition'], draw: number, attack?: string): boolean {
    const key = conditionKey(condition);
    return this.rows.some(
      (row) =>
        row.draw === draw && (attack === undefined || row.attack === attack) && conditionKey(row.condition) === key,
    );
  }

  /** {@link summarise} of all rows, computed anew only for conditions that have new ones. */
  summary(): SummaryEntry[] {
    const groups = groupedBy(this.rows, ({ condition }) => conditionKey(condition));
    return [...groups].flatMap(([key, rows]) => {
      const known = this.#summaries.get(key);
      if (known?.rows === rows.length) return known.entries;
      const entries = summarise(rows);
      this.#summaries.set(key, { rows: rows.length, entries });
      return entries;
    });
  }
}
