/** Links words and graphics: pointing at one of them, or focusing it, lights up everything about the same part. */
export function linkParts(root: HTMLElement): void {
  const parts = [...root.querySelectorAll<HTMLElement>('[data-part]')];
  const light = (name: string | undefined) => {
    for (const part of parts) part.classList.toggle('lit', name !== undefined && part.dataset.part === name);
  };
  for (const part of parts) {
    const name = part.dataset.part;
    part.addEventListener('pointerenter', () => light(name));
    part.addEventListener('pointerleave', () => light(undefined));
    part.addEventListener('focus', () => light(name));
    part.addEventListener('blur', () => light(undefined));
    // A tap on a word brings its part into view.
    if (part instanceof HTMLButtonElement) {
      part.addEventListener('click', () => {
        parts.find((each) => each !== part && each.dataset.part === name)?.scrollIntoView({ block: 'nearest' });
        light(name);
      });
    }
  }
}
