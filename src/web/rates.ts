/** The slider offers bit error rates 2^-12, 2^-11.5, .. 2^-3. */
export const RATES: readonly number[] = Array.from({ length: 19 }, (_, i) => 2 ** (-12 + i / 2));
