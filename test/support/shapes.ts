/** Shapes that reveal errors at edges: single rows, odd widths, widths just beyond a multiple of 4, 16 and 64. */
export const SHAPES: readonly (readonly [rows: number, columns: number])[] = [1, 2, 5, 34].flatMap((rows) =>
  [1, 3, 7, 40, 67, 130, 257].map((columns) => [rows, columns] as const),
);
